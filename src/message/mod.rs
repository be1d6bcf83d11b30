//! A message as bytes.
