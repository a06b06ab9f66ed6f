//! Memory streams: loops that read and write what a kernel does, and do almost nothing with it.
//!
//! They are compiled for the widest instruction set that the kernels use too, so that a ratio compares work, not vectors.

#![allow(unsafe_code)]

macro_rules! stream {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        pub fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn portable($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($argument: $type),*) $(-> $result)? {
                portable($($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: AVX2 was detected.
                return unsafe { avx2($($argument),*) };
            }
            portable($($argument),*)
        }
    };
}

stream! {
    read_float_write_float_and_byte(input: &[f32], floats: &mut [f32], bytes: &mut [i8]) {
        for ((&x, float), byte) in input.iter().zip(floats).zip(bytes) {
            *float = f32::from_bits(x.to_bits() ^ 1);
            *byte = 1;
        }
    }
}

stream! {
    read_float_write_float(input: &[f32], floats: &mut [f32]) {
        for (&x, float) in input.iter().zip(floats) {
            *float = f32::from_bits(x.to_bits() ^ 1);
        }
    }
}

stream! {
    read_float_write_byte(input: &[f32], bytes: &mut [i8]) {
        for (&x, byte) in input.iter().zip(bytes) {
            *byte = x.to_bits() as i8;
        }
    }
}

stream! {
    read_byte_write_float(bytes: &[i8], floats: &mut [f32]) {
        for (&x, float) in bytes.iter().zip(floats) {
            *float = f32::from_bits(x as u32);
        }
    }
}

stream! {
    read_two_floats_write_float(a: &[f32], b: &[f32], floats: &mut [f32]) {
        for ((&a, &b), float) in a.iter().zip(b).zip(floats) {
            *float = f32::from_bits(a.to_bits() ^ b.to_bits());
        }
    }
}

stream! {
    read_three_floats_write_float(a: &[f32], b: &[f32], c: &[f32], floats: &mut [f32]) {
        for (((&a, &b), &c), float) in a.iter().zip(b).zip(c).zip(floats) {
            *float = f32::from_bits(a.to_bits() ^ b.to_bits() ^ c.to_bits());
        }
    }
}

stream! {
    read_float(input: &[f32]) -> u32 {
        input.iter().fold(0, |all, x| all | x.to_bits())
    }
}
