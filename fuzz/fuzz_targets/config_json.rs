//! Any bytes as the JSON of a configuration: refused, or read into one that writes itself and reads itself back.
#![no_main]

use diffquant::capi::config::*;
use diffquant::capi::quantizer::{diffquant_quantizer_free, diffquant_quantizer_new};
use diffquant::capi::status::*;
use libfuzzer_sys::fuzz_target;
use std::ptr;

/// The JSON of a configuration.
unsafe fn text_of(config: *const diffquant_config) -> Option<Vec<u8>> {
    let mut len = 0;
    // SAFETY: `len` is writable, and no bytes are offered.
    let status = unsafe { diffquant_config_to_json(config, ptr::null_mut(), 0, &mut len) };
    if status == DIFFQUANT_STATUS_INVALID_CONFIG {
        return None; // infinities, which JSON has no words for
    }
    assert_eq!(status, DIFFQUANT_STATUS_BUFFER_TOO_SMALL);
    let mut text = vec![0u8; len + 1];
    // SAFETY: `text` has `len + 1` bytes.
    let status = unsafe { diffquant_config_to_json(config, text.as_mut_ptr().cast(), text.len(), &mut len) };
    assert_eq!((status, text.pop()), (DIFFQUANT_STATUS_OK, Some(0)));
    assert_eq!(text.len(), len);
    Some(text)
}

fuzz_target!(|data: &[u8]| {
    let mut config = ptr::null_mut();
    // SAFETY: `data` is readable, the handles are made and freed here.
    unsafe {
        let status = diffquant_config_from_json(data.as_ptr().cast(), data.len(), &mut config);
        if status != DIFFQUANT_STATUS_OK {
            assert!(matches!(status, DIFFQUANT_STATUS_INVALID_JSON | DIFFQUANT_STATUS_INVALID_UTF8), "{status}");
            assert!(config.is_null());
            return;
        }
        if let Some(text) = text_of(config) {
            let mut again = ptr::null_mut();
            assert_eq!(diffquant_config_from_json(text.as_ptr().cast(), text.len(), &mut again), DIFFQUANT_STATUS_OK);
            assert_eq!(text_of(again), Some(text));
            diffquant_config_free(again);
        }
        // What validates makes a quantizer, and nothing else does.
        let valid = diffquant_config_validate(config) == DIFFQUANT_STATUS_OK;
        let mut quantizer = ptr::null_mut();
        let status = diffquant_quantizer_new(config, &mut quantizer);
        assert_eq!(status, if valid { DIFFQUANT_STATUS_OK } else { DIFFQUANT_STATUS_INVALID_CONFIG });
        diffquant_quantizer_free(quantizer);
        diffquant_config_free(config);
    }
});
