"""The part of libdiffquant that the scripts need, through ctypes and arrays of the standard library."""

import ctypes
from array import array

STANDARD, CLIPPED, LEARNED_STEP_SIZE, EWGS, RANGE_CLIPPED, LSQ, LSQ_PLUS, EWGS_SIGNED = range(8)
PER_TENSOR, PER_CHANNEL, PER_TOKEN, PER_BLOCK = range(4)
FULL, NARROW, UNSIGNED = range(3)
HALF_AWAY, HALF_EVEN, STOCHASTIC = range(3)
INIT_MAX_ABS, INIT_MIN_MAX, INIT_LSQ, INIT_PERCENTILE, INIT_MSE = range(5)


def load(path):
    library = ctypes.CDLL(str(path))
    library.diffquant_last_error_message.restype = ctypes.c_char_p
    library.diffquant_version_string.restype = ctypes.c_char_p
    return library


def buffer(numbers):
    """A pointer to an array's elements."""
    return (ctypes.c_char * (len(numbers) * numbers.itemsize)).from_buffer(numbers)


class Quantizer:
    """A diffquant_quantizer; a status other than OK becomes an exception. Methods are called without their prefix."""

    def __init__(self, library, bits, *, k=None, ste=STANDARD, ste_param=0.0):
        self.api = library
        self.handle = ctypes.c_void_p()
        if k is None:
            self.check(library.diffquant_quantizer_new_uniform(
                ctypes.c_uint32(bits), ctypes.c_uint32(ste), ctypes.c_float(ste_param), ctypes.byref(self.handle)))
        else:
            self.check(library.diffquant_quantizer_new_pi(
                ctypes.c_uint32(bits), ctypes.c_uint32(k), ctypes.byref(self.handle)))

    def __del__(self):
        self.api.diffquant_quantizer_free(self.handle)

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.api.diffquant_last_error_message().decode())

    def call(self, name, *arguments):
        self.check(getattr(self.api, "diffquant_quantizer_" + name)(self.handle, *arguments))

    def set_symmetric(self, symmetric):
        self.call("set_symmetric", ctypes.c_uint32(symmetric))

    def set_seed(self, seed, first_element=0):
        self.call("set_seed", ctypes.c_uint64(seed), ctypes.c_uint64(first_element))

    def set_code_range(self, code_range):
        self.call("set_code_range", ctypes.c_uint32(code_range))

    def set_rounding(self, rounding):
        self.call("set_rounding", ctypes.c_uint32(rounding))

    def set_granularity(self, granularity, block_size=0):
        self.call("set_granularity", ctypes.c_uint32(granularity), ctypes.c_size_t(block_size))

    def set_shape(self, shape, axis):
        self.call("set_shape", (ctypes.c_size_t * len(shape))(*shape), ctypes.c_size_t(len(shape)),
                  ctypes.c_size_t(axis))

    def set_incoherence(self, incoherence, seed=0):
        self.call("set_incoherence", ctypes.c_uint32(incoherence))
        self.call("set_rotation_seed", ctypes.c_uint64(seed))

    def init(self, method, parameter, w):
        self.call("init_scale_with", ctypes.c_uint32(method), ctypes.c_float(parameter), buffer(w),
                  ctypes.c_size_t(len(w)))

    def scale_count(self):
        count = ctypes.c_size_t()
        self.call("scale_count", ctypes.byref(count))
        return count.value

    def scales(self):
        out = array("f", bytes(4 * self.scale_count()))
        self.call("scales", buffer(out), ctypes.c_size_t(len(out)))
        return out

    def set_scales(self, scales):
        scales = array("f", scales)
        self.call("set_scales", buffer(scales), ctypes.c_size_t(len(scales)))

    def set_zero_points(self, zero_points):
        zero_points = array("i", zero_points)
        self.call("set_zero_points", buffer(zero_points), ctypes.c_size_t(len(zero_points)))

    def step_size(self, group=0):
        out = ctypes.c_float()
        self.call("step_size", ctypes.c_size_t(group), ctypes.byref(out))
        return out.value

    def code_bounds(self):
        smallest, largest = ctypes.c_int32(), ctypes.c_int32()
        self.call("code_bounds", ctypes.byref(smallest), ctypes.byref(largest))
        return smallest.value, largest.value

    def forward(self, w):
        values = array("f", bytes(4 * len(w)))
        self.call("forward", buffer(w), ctypes.c_size_t(len(w)), None, buffer(values))
        return values

    def codes(self, w):
        codes = array("b", bytes(len(w)))
        self.call("forward", buffer(w), ctypes.c_size_t(len(w)), buffer(codes), None)
        return codes

    def dequantize(self, codes):
        values = array("f", bytes(4 * len(codes)))
        self.call("dequantize", buffer(codes), ctypes.c_size_t(len(codes)), buffer(values))
        return values

    def backward_scale(self, w, grad_out):
        grad_w = array("f", bytes(4 * len(w)))
        grad_scale = array("f", bytes(4 * self.scale_count()))
        self.call("backward_scale", buffer(w), buffer(grad_out), ctypes.c_size_t(len(w)), buffer(grad_w),
                  buffer(grad_scale))
        return grad_w, grad_scale
