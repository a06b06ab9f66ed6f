//! Scales from weights by every method but the smallest squared error, which [`crate::mse`] tests.
