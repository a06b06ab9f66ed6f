//! Which library is loaded.

use std::ffi::{CStr, c_char};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no NUL inside"),
};

/// The version of the loaded library as text, "major.minor.patch".
///
/// @return a string that lives as long as the library is loaded; never NULL
#[unsafe(no_mangle)]
pub extern "C" fn diffquant_version_string() -> *const c_char {
    VERSION.as_ptr()
}

/// The version of the loaded library as one number that can be compared.
///
/// @return major << 16 | minor << 8 | patch
#[unsafe(no_mangle)]
pub extern "C" fn diffquant_version_number() -> u32 {
    const NUMBER: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"));
    NUMBER
}

const fn number(decimal: &str) -> u32 {
    match u32::from_str_radix(decimal, 10) {
        Ok(number) if number < 256 => number,
        _ => panic!("every part of the version fits a byte"),
    }
}
