//! Any bytes as the JSON of a configuration: refused, or read into one that writes itself and reads itself back.

use super::text;
use diffquant::QatConfig;
use diffquant::capi::config::*;
use diffquant::capi::quantizer::{diffquant_quantizer_free, diffquant_quantizer_new};
use diffquant::capi::status::*;
use std::ptr;

/// The JSON of a configuration; none of one with infinities, which JSON has no words for.
unsafe fn text_of(config: *const diffquant_config) -> Option<Vec<u8>> {
    // SAFETY: the handle is good, and `text_of` gives what the function asks for.
    text::text_of(|buf, cap, len| unsafe { diffquant_config_to_json(config, buf, cap, len) }, {
        Some(DIFFQUANT_STATUS_INVALID_CONFIG)
    })
}

/// What holds for any text.
pub fn check(data: &[u8]) {
    let mut config = ptr::null_mut();
    // SAFETY: `data` is readable, the handles are made and freed here.
    unsafe {
        let status = diffquant_config_from_json(data.as_ptr().cast(), data.len(), &mut config);
        // Another reader of the same type takes the same texts. It is given text: of bytes it takes some that are none, where nobody
        // asks for what they say.
        let other = str::from_utf8(data).map(serde_json::from_str::<QatConfig>);
        assert_eq!(matches!(other, Ok(Ok(_))), status == DIFFQUANT_STATUS_OK, "{other:?}");
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
}
