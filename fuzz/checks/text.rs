//! What the targets of texts share.

use diffquant::capi::status::*;
use std::ffi::c_char;
use std::ptr;

/// The text that a function of the form of `diffquant_config_to_json` writes; none where it answers `unless`.
pub fn text_of(
    write: impl Fn(*mut c_char, usize, *mut usize) -> diffquant_status,
    unless: Option<diffquant_status>,
) -> Option<Vec<u8>> {
    let mut len = 0;
    let status = write(ptr::null_mut(), 0, &mut len);
    if Some(status) == unless {
        return None;
    }
    assert_eq!(status, DIFFQUANT_STATUS_BUFFER_TOO_SMALL);
    let mut text = vec![0u8; len + 1];
    let status = write(text.as_mut_ptr().cast(), text.len(), &mut len);
    assert_eq!((status, text.pop()), (DIFFQUANT_STATUS_OK, Some(0)));
    assert_eq!(text.len(), len);
    Some(text)
}
