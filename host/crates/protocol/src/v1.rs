//! Protocol 1 and the hybrid form.
