//! What holds for any input. The fuzz targets look for one that breaks it; `tests/fuzz_corpus.rs` tries those in `fuzz/corpus`.

pub mod calls;
pub mod config_json;
pub mod observer_json;
pub mod quantizer_json;
mod text;
