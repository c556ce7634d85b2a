//! What machines refuse: guests that mean harm or are broken, page tables that can't be followed,
//! announcements that make no sense, machines that can't be. Each ends in bounded time with a
//! reason in one line.

mod announcements;
mod driver;
mod exits;
mod hostile;
mod interrupts;
mod machines;
mod tables;
