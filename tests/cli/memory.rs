//! `--mem` and `--page-tables`.

use tests::host::with_kvm;

use crate::runner::stalemate;

#[test]
fn no_memory_and_too_little_is_refused() {
    with_kvm(|_| {
        for size in ["0", "1", "4096", "8388607", "8388609"] {
            stalemate(["--mem", size]).verify_refused(2, &["guest memory", size, "MiB"]);
        }
    });
}

#[test]
fn what_is_no_size_is_refused() {
    for size in [
        "x",
        "16MB",
        "-1",
        "1.5G",
        "99999999999999999999",
        "16777216T",
    ] {
        let argument = format!("--mem={size}");
        stalemate([&argument]).verify_bad_usage(&["--mem", size]);
    }
}

/// 400 GiB is less than a machine can have, and more than a host of ours has.
#[test]
fn more_memory_than_the_host_has_is_the_hosts_lack() {
    with_kvm(|_| {
        stalemate(["--mem", "400G"]).verify_refused(3, &["409600 MiB", "this host"]);
    });
}

/// Beyond where devices begin.
#[test]
fn more_memory_than_any_machine_has_is_bad_usage() {
    with_kvm(|_| {
        for size in ["1T", "0xfffffffffffff000"] {
            stalemate(["--mem", size]).verify_refused(2, &["guest memory"]);
        }
    });
}

#[test]
fn page_tables_on_top_of_something_are_refused() {
    with_kvm(|_| {
        for (place, what) in [
            ("0x100000", "the payload image"),
            ("0x1ff000", "the payload image"),
            ("2M", "the system tables"),
            ("3M", "the programs"),
            ("5M", "the scenario's frames"),
            ("0x4ff000", "the scenario's frames"),
        ] {
            let refused = stalemate(["--page-tables", place]);
            refused.verify_refused(2, &["page-table pool", "overlaps", what]);
        }
    });
}

#[test]
fn page_tables_outside_memory_or_off_a_page_are_refused() {
    with_kvm(|_| {
        for place in [
            "16M",
            "1T",
            "1",
            "0x400001",
            "0xffffffffffffffff",
            "0xfffffffffffff000",
        ] {
            stalemate(["--page-tables", place]).verify_refused(2, &["page-table pool"]);
        }
    });
}

#[test]
fn page_tables_may_be_anywhere_else() {
    with_kvm(|_| {
        for place in ["0", "0x440000", "8M", "0xfc0000"] {
            stalemate(["run", "--page-tables", place]).verify_code(0);
        }
    });
}

#[test]
fn sizes_have_units() {
    with_kvm(|_| {
        for size in ["8M", "16777216", "0x1000000", "65536K", "64m"] {
            stalemate(["run", "--mem", size]).verify_code(0);
        }
    });
}
