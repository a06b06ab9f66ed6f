//! Who runs the parts of a large call.

use super::diffquant_quantizer;
use super::settings::change;
use crate::capi::status::diffquant_status;
use crate::kernels::HostPool;
use std::ffi::c_void;

/// A host's pool of threads: a function that calls run(task, index) once for every index below count, on any threads, and
/// returns when all of them have returned. It must not throw, and nothing may call run after it has returned.
///
/// context is what diffquant_quantizer_set_parallel_for was given.
pub type diffquant_parallel_for = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        count: usize,
        run: unsafe extern "C" fn(task: *mut c_void, index: usize),
        task: *mut c_void,
    ),
>;

/// Lets large calls use several threads. Results are the same bits for any number.
///
/// Calls on 4 Mi elements or more are divided, into at most one part per 2 Mi elements; below, making threads costs more
/// than they save. The threads are made for the call and end with it, so unloading the library stays safe (it may stay
/// mapped until the threads that called it have ended); making them allocates. Where a thread cannot be had, the caller's
/// does its part. This replaces a pool set before.
///
/// @param quantizer the quantizer to change
/// @param threads how many, the caller's among them: 1, the default, for the caller's alone; 0 for as many as this process
///                may use
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_threads(
    quantizer: *mut diffquant_quantizer,
    threads: usize,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions.
    unsafe {
        change(quantizer, |grid| {
            grid.set_threads(threads);
            Ok(())
        })
    }
}

/// Lets large calls run on the host's own threads: those that diffquant_quantizer_set_threads names, from 1 Mi elements on, in
/// parts of at least 512 Ki elements, at most 64 of them. Results are the same bits as one thread's.
/// Copies of the quantizer use them too.
///
/// @param quantizer the quantizer to change
/// @param parallel_for the host's pool; NULL for the caller's thread alone
/// @param context handed to parallel_for; usable from any thread that uses the quantizer, for as long as it does
/// @return DIFFQUANT_STATUS_OK; NULL_POINTER for the quantizer
#[unsafe(no_mangle)]
pub unsafe extern "C" fn diffquant_quantizer_set_parallel_for(
    quantizer: *mut diffquant_quantizer,
    parallel_for: diffquant_parallel_for,
    context: *mut c_void,
) -> diffquant_status {
    // SAFETY: the handle keeps the header's conventions, and the host's pool the comment above.
    unsafe {
        change(quantizer, |grid| {
            match parallel_for {
                Some(parallel_for) => grid.set_host_pool(HostPool::new(parallel_for, context)),
                None => grid.set_threads(1),
            }
            Ok(())
        })
    }
}
