//! The interpreter of scenario programs.
#![cfg_attr(payload, no_std, no_main)]

guest::payload!(guest::interpreter::run);
