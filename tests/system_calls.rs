//! Forward, backward, backward_scale and dequantize make no system call.
//!
//! A child process forbids itself every system call but the one that ends a thread (a seccomp filter: the kernel kills who makes
//! another), and then works on tensors of all sizes and granularities. What it needs is allocated before.

#![cfg(target_os = "linux")]
#![allow(unsafe_code)]

use diffquant::capi::granularity::*;
use diffquant::capi::quantizer::*;
use diffquant::capi::status::*;
use diffquant::capi::ste::*;
use std::io::Write as _;
use std::{io, ptr};

/// What the child ends with where the kernel refuses the filter.
const REFUSED: i32 = 42;

/// How a child that was forbidden system calls ended.
#[derive(Debug, PartialEq)]
enum End {
    Exited(i32),
    Killed(i32),
}

/// Runs `work` in a child that may make no system call; it ends with 0 if `work` is true, else with 1.
fn without_system_calls(work: impl FnOnce() -> bool) -> End {
    // SAFETY: the child has one thread and calls nothing that another thread of this process may have locked: `work` is kernels
    // and, in one case, a system call.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "no process is to be had: {}", io::Error::last_os_error());
        if child == 0 {
            let code = if !forbid_system_calls() { REFUSED } else { i32::from(!work()) };
            // The C library's `_exit` would end all threads, by another system call.
            libc::syscall(libc::SYS_exit, code);
            std::process::abort();
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        if libc::WIFSIGNALED(status) {
            End::Killed(libc::WTERMSIG(status))
        } else {
            End::Exited(libc::WEXITSTATUS(status))
        }
    }
}

/// From here on, a system call other than `exit` kills this thread; whether the kernel agreed.
fn forbid_system_calls() -> bool {
    let instruction = |code: u32, jump_if_not: u8, operand: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: jump_if_not,
        k: operand,
    };
    let mut filter = [
        // The number of the system call is the first thing that a filter is given.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_exit as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_KILL_THREAD),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program outlives the call that copies it.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    }
}

/// Whether `end` tells anything; says so, even when the test passes, where it does not.
fn was_checked(end: &End) -> bool {
    if *end == End::Exited(REFUSED) {
        let text = "\nsystem_calls: THE KERNEL REFUSES SECCOMP FILTERS: THAT NO SYSTEM CALL IS MADE WAS NOT CHECKED\n";
        io::stderr().write_all(text.as_bytes()).unwrap();
    }
    *end != End::Exited(REFUSED)
}

#[test]
fn a_system_call_is_noticed() {
    // SAFETY: asks for a number.
    let end = without_system_calls(|| unsafe { libc::syscall(libc::SYS_getppid) } > 0);
    if was_checked(&end) {
        assert_eq!(end, End::Killed(libc::SIGSYS));
        assert_eq!(without_system_calls(|| true), End::Exited(0));
        assert_eq!(without_system_calls(|| false), End::Exited(1));
    }
}

/// A quantizer, and the length that it is for.
type Case = (*mut diffquant_quantizer, usize);

fn quantizer(ste: diffquant_ste, granularity: diffquant_granularity, shape: &[usize], axis: usize) -> Case {
    let mut quantizer = ptr::null_mut();
    // SAFETY: the pointers are to live variables.
    unsafe {
        assert_eq!(diffquant_quantizer_new_uniform(4, ste, 0.1, &mut quantizer), DIFFQUANT_STATUS_OK);
        assert_eq!(diffquant_quantizer_set_granularity(quantizer, granularity, 32), DIFFQUANT_STATUS_OK);
        let status = diffquant_quantizer_set_shape(quantizer, shape.as_ptr(), shape.len(), axis);
        assert_eq!(status, DIFFQUANT_STATUS_OK);
    }
    (quantizer, shape.iter().product())
}

#[test]
fn work_on_tensors_makes_no_system_call() {
    const LONGEST: usize = (4 << 20) + 100;
    let mut cases = Vec::new();
    for ste in DIFFQUANT_STE_STANDARD..=DIFFQUANT_STE_EWGS_SIGNED {
        for n in [1, 7, 32, 64, 1000, 10_000] {
            cases.push(quantizer(ste, DIFFQUANT_GRANULARITY_PER_TENSOR, &[n], 0));
        }
        for (shape, axis) in [([20, 1024], 0), ([20, 1024], 1), ([20, 70], 0), ([20, 70], 1)] {
            cases.push(quantizer(ste, DIFFQUANT_GRANULARITY_PER_CHANNEL, &shape, axis));
            cases.push(quantizer(ste, DIFFQUANT_GRANULARITY_PER_BLOCK, &shape, axis));
            cases.push(quantizer(ste, DIFFQUANT_GRANULARITY_PER_TOKEN, &shape, axis));
        }
        cases.push(quantizer(ste, DIFFQUANT_GRANULARITY_PER_CHANNEL, &[8, 9, 40], 1));
    }
    // So large that outputs bypass the cache.
    cases.push(quantizer(DIFFQUANT_STE_LSQ, DIFFQUANT_GRANULARITY_PER_TENSOR, &[LONGEST], 0));
    let (w, grad_out) = (vec![0.3f32; LONGEST], vec![0.7f32; LONGEST]);
    let (mut codes, mut values, mut grad_w) = (vec![1i8; LONGEST], vec![1f32; LONGEST], vec![1f32; LONGEST]);
    let mut grad_scale = vec![1f32; LONGEST];

    let end = without_system_calls(|| {
        let mut all = true;
        for &(q, n) in &cases {
            // As long as it is, and refused.
            for (n, expected) in [(n, DIFFQUANT_STATUS_OK), (n + 1, DIFFQUANT_STATUS_LENGTH_MISMATCH)] {
                let (w, grad_out) = (w.as_ptr(), grad_out.as_ptr());
                let (codes, values) = (codes.as_mut_ptr(), values.as_mut_ptr());
                let (grad_w, grad_scale) = (grad_w.as_mut_ptr(), grad_scale.as_mut_ptr());
                for _ in 0..if n > 100_000 { 1 } else { 10 } {
                    // SAFETY: every pointer is to a live vector that is longer than n, and than the scales are many.
                    all &= unsafe {
                        diffquant_quantizer_forward(q, w, n, codes, values) == expected
                            && diffquant_quantizer_backward(q, w, values, grad_out, n, grad_w) == expected
                            && diffquant_quantizer_backward(q, w, ptr::null(), grad_out, n, grad_w) == expected
                            && diffquant_quantizer_backward_scale(q, w, grad_out, n, grad_w, grad_scale) == expected
                            && diffquant_quantizer_dequantize(q, codes, n, values) == expected
                    };
                }
            }
        }
        all
    });
    if was_checked(&end) {
        assert_eq!(end, End::Exited(0), "{} kills who makes a system call, 1 is a wrong status", libc::SIGSYS);
    }
    for (q, _) in cases {
        // SAFETY: made above, and no longer used.
        unsafe { diffquant_quantizer_free(q) };
    }
}
