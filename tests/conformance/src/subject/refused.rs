//! Why something was not done.

/// How an implementation says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its types have no way to write this. Correct wherever the rule is that it must be refused.
    #[error("it can't be written")]
    ByType,
    /// The arguments make no sense (Linux: `-EINVAL`).
    #[error("invalid: {0}")]
    Invalid(String),
    /// A number overflows (Linux: `-EOVERFLOW`).
    #[error("overflow: {0}")]
    Overflow(String),
    /// The address space has ended (Linux: `-EINVAL` too).
    #[error("the address space has ended")]
    Exited,
    /// Somebody would have had to sleep (Linux: `-EAGAIN`).
    #[error("somebody would have had to sleep")]
    Again,
    /// What was to be registered could not be made (Linux: the error of `alloc_notifier`).
    #[error("it could not be made")]
    Alloc,
    /// The caller or a subscriber breaks the contract, and was caught at it. Panicking instead is as
    /// good; the cases that expect it catch the panic.
    #[error("contract violated: {0}")]
    Violation(String),
}
