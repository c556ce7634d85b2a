//! The ring-0 stub: exception entries and what they do.
//!
//! Some hosts emulate ring-0 code instruction by instruction, so the stub has only plain moves and
//! jumps, and touches neither x87 nor SSE state: whatever ring 3 has there survives a fault.
//!
//! ```text
//! from ring 0                              -> exit(EXIT_STUB)
//! from ring 3, #UD, RAX = CALL_INVALIDATE  -> invlpg [RDI]; continue after the ud2
//!              CALL_INVALIDATE_ALL         -> CR3 = CR3; likewise
//!              CALL_COUNT                  -> count RDI down to 0; likewise
//! from ring 3, else                        -> store the stack words, then
//!     RECOVER != 0                         -> RECOVER = 0; continue there
//!     RECOVER == 0                         -> continue at FATAL, on a fresh stack
//! the shoot-down interrupt                 -> for each request: invlpg, clear it; EOI; continue
//! ```
//!
//! All registers are those of the fault, except that FATAL gets the address of the stack words in
//! RDI and the end of the ring-3 stack in RSP, since those may be what the fault was about.
//!
//! Interrupts are off in the stub and on in ring 3, so a shoot-down may come between any two
//! instructions of ring 3. It leaves everything as it was, the other stack words included.

use core::arch::global_asm;

use crate::abi::layout::{MAX_VCPUS, VCPU_SYSTEM_STRIDE};
use crate::abi::{port, x86_64};

/// #UD, by which ring 3 calls the stub.
const INVALID_OPCODE: u64 = 6;
/// Vectors with an error code, a bit each: #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP, #VC, #SX (Intel
/// SDM vol. 3, table 6-1, and AMD APM vol. 2, §8.2).
const WITH_ERROR_CODE: u64 = 1 << 8 | 0b1_1111 << 10 | 1 << 17 | 1 << 21 | 1 << 29 | 1 << 30;
/// Bytes of the `ud2` instruction.
const CALL_LENGTH: u64 = 2;
/// The stub stack is one page, so this mask leads from anywhere on it to the stack words.
const STACK_MASK: i64 = -0x1000;
/// A system area is as large as its alignment.
const AREA_MASK: i64 = -(VCPU_SYSTEM_STRIDE as i64);

const _: () = assert!(x86_64::STUB_STACK_END - x86_64::STUB_STACK == 0x1000);
const _: () = assert!(x86_64::system(0).is_multiple_of(VCPU_SYSTEM_STRIDE));

global_asm!(
    ".pushsection .text.stub, \"ax\", @progbits",
    ".balign {stride}",
    ".globl stub_vectors",
    "stub_vectors:",
    ".set vector, 0",
    ".rept {vectors}",
    ".balign {stride}",
    // The processor pushes an error code for these, else a zero keeps the frame the same.
    ".if ({with_error_code} >> vector) & 1",
    ".else",
    "push 0",
    ".endif",
    "push vector",
    "jmp stub_common",
    ".set vector, vector + 1",
    ".endr",
    "",
    // The entry after the last exception's, and so long that nothing can follow it. An interrupt
    // that comes while this runs is taken after it, so a request stored meanwhile is not lost.
    ".balign {stride}",
    "push rbx",
    "push rcx",
    "mov rbx, rsp",
    "and rbx, {stack_mask}",
    ".set request, {requests}",
    ".rept {vcpus}",
    "mov rcx, [rbx + request]",
    "test rcx, rcx",
    "jz 2f",
    // Where in the page the address lies does not matter, so neither does the mark.
    "invlpg [rcx]",
    "mov qword ptr [rbx + request], 0",
    "2:",
    ".set request, request + 8",
    ".endr",
    "movabs rcx, {end_of_interrupt}",
    "mov dword ptr [rcx], 0",
    "pop rcx",
    "pop rbx",
    "iretq",
    "",
    // From RSP up: vector, error, RIP, CS, RFLAGS, RSP, SS.
    "stub_common:",
    "test byte ptr [rsp + 24], 3",
    "jz stub_broken",
    "push rbx",
    "push rcx",
    // From RSP up: RCX, RBX, vector, error, RIP, CS, RFLAGS, RSP, SS.
    "cmp qword ptr [rsp + 16], {invalid_opcode}",
    "jne stub_fault",
    "movabs rcx, {call_invalidate}",
    "cmp rax, rcx",
    "jne stub_all",
    "invlpg [rdi]",
    "stub_called:",
    "add qword ptr [rsp + 32], {call_length}",
    "jmp stub_return",
    "",
    "stub_all:",
    "movabs rcx, {call_invalidate_all}",
    "cmp rax, rcx",
    "jne stub_count",
    "mov rcx, cr3",
    "mov cr3, rcx",
    "jmp stub_called",
    "",
    "stub_count:",
    "movabs rcx, {call_count}",
    "cmp rax, rcx",
    "jne stub_fault",
    "2: dec rdi",
    "jnz 2b",
    "jmp stub_called",
    "",
    "stub_fault:",
    "mov rbx, rsp",
    "and rbx, {stack_mask}",
    "mov rcx, [rsp + 16]",
    "mov [rbx + {vector_word}], rcx",
    "mov rcx, [rsp + 24]",
    "mov [rbx + {error_word}], rcx",
    "mov rcx, [rsp + 32]",
    "mov [rbx + {instruction_word}], rcx",
    "mov rcx, cr2",
    "mov [rbx + {address_word}], rcx",
    "mov rcx, [rbx + {recover_word}]",
    "test rcx, rcx",
    "jz stub_fatal",
    "mov qword ptr [rbx + {recover_word}], 0",
    "mov [rsp + 32], rcx",
    "",
    "stub_return:",
    "pop rcx",
    "pop rbx",
    "add rsp, 16",
    "iretq",
    "",
    "stub_fatal:",
    "mov rdi, rbx",
    "mov rcx, [rbx + {fatal_word}]",
    "mov [rsp + 32], rcx",
    "and rbx, {area_mask}",
    "add rbx, {user_stack_end}",
    "mov [rsp + 56], rbx",
    "jmp stub_return",
    "",
    "stub_broken:",
    "mov eax, {exit_stub}",
    "mov edx, {exit_port}",
    "out dx, eax",
    "2: hlt",
    "jmp 2b",
    ".popsection",
    stride = const x86_64::VECTOR_STRIDE,
    vectors = const x86_64::VECTORS,
    with_error_code = const WITH_ERROR_CODE,
    requests = const x86_64::REQUESTS,
    vcpus = const MAX_VCPUS,
    end_of_interrupt = const x86_64::LOCAL_APIC + x86_64::APIC_EOI,
    invalid_opcode = const INVALID_OPCODE,
    call_invalidate = const x86_64::CALL_INVALIDATE,
    call_invalidate_all = const x86_64::CALL_INVALIDATE_ALL,
    call_count = const x86_64::CALL_COUNT,
    call_length = const CALL_LENGTH,
    stack_mask = const STACK_MASK,
    area_mask = const AREA_MASK,
    vector_word = const x86_64::VECTOR,
    error_word = const x86_64::ERROR,
    instruction_word = const x86_64::INSTRUCTION,
    address_word = const x86_64::ADDRESS,
    recover_word = const x86_64::RECOVER,
    fatal_word = const x86_64::FATAL,
    user_stack_end = const x86_64::USER_STACK_END,
    exit_stub = const port::EXIT_STUB,
    exit_port = const port::EXIT,
);
