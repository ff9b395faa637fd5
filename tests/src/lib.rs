//! The test targets of this package are the system tests; see the folders beside it.
