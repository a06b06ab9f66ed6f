//! Any bytes as the JSON of a quantizer: refused, or read into one that writes itself and reads itself back.

use super::text;
use diffquant::capi::quantizer::*;
use diffquant::capi::status::*;
use std::ptr;

/// The JSON of a quantizer.
unsafe fn text_of(quantizer: *const diffquant_quantizer) -> Vec<u8> {
    // SAFETY: the handle is good, and `text_of` gives what the function asks for.
    text::text_of(|buf, cap, len| unsafe { diffquant_quantizer_to_json(quantizer, buf, cap, len) }, None).unwrap()
}

/// What holds for any text.
pub fn check(data: &[u8]) {
    let mut quantizer = ptr::null_mut();
    // SAFETY: `data` is readable, the handles are made and freed here.
    unsafe {
        let status = diffquant_quantizer_from_json(data.as_ptr().cast(), data.len(), &mut quantizer);
        if status != DIFFQUANT_STATUS_OK {
            let expected = [
                DIFFQUANT_STATUS_INVALID_JSON,
                DIFFQUANT_STATUS_INVALID_UTF8,
                DIFFQUANT_STATUS_UNSUPPORTED,
                DIFFQUANT_STATUS_INVALID_ARGUMENT,
                DIFFQUANT_STATUS_LENGTH_MISMATCH,
                DIFFQUANT_STATUS_NOT_APPLICABLE,
                DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE,
                DIFFQUANT_STATUS_SIZE_OVERFLOW,
            ];
            assert!(expected.contains(&status), "{status}");
            assert!(quantizer.is_null());
            return;
        }
        let (text, mut again) = (text_of(quantizer), ptr::null_mut());
        let status = diffquant_quantizer_from_json(text.as_ptr().cast(), text.len(), &mut again);
        assert_eq!(status, DIFFQUANT_STATUS_OK);
        assert_eq!(text_of(again), text);
        // What was read quantizes, whatever it says.
        let (w, mut codes, mut values) = ([0.3, -7.5, f32::NAN, 1e30, -1e-40, 0.0], [0; 6], [0.0; 6]);
        let status = diffquant_quantizer_forward(quantizer, w.as_ptr(), 6, codes.as_mut_ptr(), values.as_mut_ptr());
        assert!(status != DIFFQUANT_STATUS_INTERNAL);
        diffquant_quantizer_free(again);
        diffquant_quantizer_free(quantizer);
    }
}
