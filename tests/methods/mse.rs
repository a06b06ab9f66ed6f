//! The smallest squared error.
