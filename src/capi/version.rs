//! Which library is loaded.

use std::ffi::{CStr, c_char};

/// The version of this header, to be compared with diffquant_version_number of the library that is loaded.
pub const DIFFQUANT_VERSION_MAJOR: u32 = 0;
/// See DIFFQUANT_VERSION_MAJOR.
pub const DIFFQUANT_VERSION_MINOR: u32 = 1;
/// See DIFFQUANT_VERSION_MAJOR.
pub const DIFFQUANT_VERSION_PATCH: u32 = 0;

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
    DIFFQUANT_VERSION_MAJOR << 16 | DIFFQUANT_VERSION_MINOR << 8 | DIFFQUANT_VERSION_PATCH
}

// cbindgen writes literals alone, so the numbers stand above; a release that forgets them does not compile.
const _: () = {
    assert!(DIFFQUANT_VERSION_MAJOR == number(env!("CARGO_PKG_VERSION_MAJOR")));
    assert!(DIFFQUANT_VERSION_MINOR == number(env!("CARGO_PKG_VERSION_MINOR")));
    assert!(DIFFQUANT_VERSION_PATCH == number(env!("CARGO_PKG_VERSION_PATCH")));
};

const fn number(decimal: &str) -> u32 {
    match u32::from_str_radix(decimal, 10) {
        Ok(number) if number < 256 => number,
        _ => panic!("every part of the version fits a byte"),
    }
}
