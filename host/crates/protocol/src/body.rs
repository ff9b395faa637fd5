//! Content types, encodings, compression and size caps of bodies.
