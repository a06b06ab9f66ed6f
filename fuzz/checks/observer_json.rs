//! Any bytes as the JSON of an observer: refused, or read into one that writes itself and reads itself back.

use super::text;
use diffquant::capi::observer::*;
use diffquant::capi::status::*;
use std::ptr;

/// The JSON of an observer.
unsafe fn text_of(observer: *const diffquant_observer) -> Vec<u8> {
    // SAFETY: the handle is good, and `text_of` gives what the function asks for.
    text::text_of(|buf, cap, len| unsafe { diffquant_observer_to_json(observer, buf, cap, len) }, None).unwrap()
}

/// What holds for any text.
pub fn check(data: &[u8]) {
    let mut observer = ptr::null_mut();
    // SAFETY: `data` is readable, the handles are made and freed here.
    unsafe {
        let status = diffquant_observer_from_json(data.as_ptr().cast(), data.len(), &mut observer);
        if status != DIFFQUANT_STATUS_OK {
            let expected = [DIFFQUANT_STATUS_INVALID_JSON, DIFFQUANT_STATUS_INVALID_UTF8];
            assert!(expected.contains(&status), "{status}");
            assert!(observer.is_null());
            return;
        }
        let (text, mut again) = (text_of(observer), ptr::null_mut());
        let status = diffquant_observer_from_json(text.as_ptr().cast(), text.len(), &mut again);
        assert_eq!(status, DIFFQUANT_STATUS_OK);
        assert_eq!(text_of(again), text);
        // Twice the same is no less than once: merging must not trap on what was read.
        let status = diffquant_observer_merge(observer, again);
        let expected = [DIFFQUANT_STATUS_OK, DIFFQUANT_STATUS_NOT_APPLICABLE, DIFFQUANT_STATUS_SIZE_OVERFLOW];
        assert!(expected.contains(&status), "{status}");
        diffquant_observer_free(again);
        diffquant_observer_free(observer);
    }
}
