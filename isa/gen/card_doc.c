// SPDX-License-Identifier: Apache-2.0
// Writes docs/card.md: the card as its driver meets it, with the tables of card.def and packet.def.
#include <stdio.h>

#include "isa/card.h"
#include "isa/packet.h"

static void text(const char *const *lines) {
    for (; *lines != NULL; lines++)
        puts(*lines);
}

static void head(const char *title, const char *columns, const char *rule) {
    printf("\n## %s\n\n%s\n%s\n", title, columns, rule);
}

static void registers(void) {
    head("Registers of the card", "| offset | name | access | meaning |",
         "| --- | --- | --- | --- |");
#define ISA_REG(name, offset, access, meaning)                                                     \
    printf("| 0x%03x | %s | %s | %s |\n", (unsigned)(offset), #name, #access, meaning);
#include "isa/card.def"
    head("Registers of a hardware node", "| offset | name | access | meaning |",
         "| --- | --- | --- | --- |");
#define ISA_NODE_REG(name, offset, access, meaning)                                                \
    printf("| 0x%03x | %s | %s | %s |\n", (unsigned)(offset), #name, #access, meaning);
#include "isa/card.def"
    head("Bits of FEATURES and ERROR", "| register | bit | name | meaning |",
         "| --- | --- | --- | --- |");
#define ISA_FEATURE(name, bit, meaning)                                                            \
    printf("| FEATURES | %d | %s | %s |\n", bit, #name, meaning);
#define ISA_ERROR(name, bit, meaning) printf("| ERROR | %d | %s | %s |\n", bit, #name, meaning);
#include "isa/card.def"
    head("Values of POWER and POWER_STATE, bits of THROTTLE",
         "| register | value | name | meaning |", "| --- | --- | --- | --- |");
#define ISA_POWER(name, number, meaning)                                                           \
    printf("| POWER | %d | %s | %s |\n", number, #name, meaning);
#define ISA_THROTTLE(name, bit, meaning)                                                           \
    printf("| THROTTLE | bit %d | %s | %s |\n", bit, #name, meaning);
#include "isa/card.def"
    head("Values of INJECT", "| number | name | INJECT_ARG, and what comes of it |",
         "| --- | --- | --- |");
#define ISA_INJECT(name, number, meaning) printf("| %d | %s | %s |\n", number, #name, meaning);
#include "isa/card.def"
}

static void ring_packets(void) {
    head("Ring packets", "| op | name | nodes | flags | meaning |",
         "| --- | --- | --- | --- | --- |");
#define ISA_RING_OP(name, number, nodes, flags, meaning)                                           \
    printf("| %d | %s | %s | 0x%02x | %s |\n", number, #name,                                      \
           (nodes) == 1   ? "COMPUTE"                                                              \
           : (nodes) == 2 ? "COPY"                                                                 \
                          : "both",                                                                \
           (unsigned)(flags), meaning);
#include "isa/packet.def"
    puts("\n| flag | bit | meaning |\n| --- | --- | --- |");
#define ISA_RING_FLAG(name, bit, meaning) printf("| %s | %d | %s |\n", #name, bit, meaning);
#include "isa/packet.def"
    puts("\n| packet | offset | bytes | field | meaning |\n| --- | --- | --- | --- | --- |");
#define ISA_RING_FIELD(packet, type_name, name, type, offset, meaning)                             \
    printf("| %s | %d | %u | %s | %s |\n", #packet, offset, (unsigned)sizeof(type), #name, meaning);
#include "isa/packet.def"
}

static void command_buffer(void) {
    head("Command-buffer packets", "| op | name | bytes | meaning |", "| --- | --- | --- | --- |");
#define ISA_IB_OP(name, number, bytes, meaning)                                                    \
    printf("| %d | %s | %d | %s |\n", number, #name, bytes, meaning);
#include "isa/packet.def"
    puts("\n| packet | offset | bytes | field | meaning |\n| --- | --- | --- | --- | --- |");
#define ISA_IB_FIELD(packet, type_name, name, type, offset, meaning)                               \
    printf("| %s | %d | %u | %s | %s |\n", #packet, offset, (unsigned)sizeof(type), #name, meaning);
#include "isa/packet.def"
}

static void results(void) {
    head("Completion types", "| number | name | meaning |", "| --- | --- | --- |");
#define ISA_COMP(name, number, meaning) printf("| %d | %s | %s |\n", number, #name, meaning);
#include "isa/card.def"
    head("Fault causes", "| number | name | blames | meaning |", "| --- | --- | --- | --- |");
#define ISA_FAULT(name, number, scope, meaning)                                                    \
    printf("| %d | %s | %s | %s |\n", number, #name, #scope, meaning);
#include "isa/card.def"
}

static void page_tables(void) {
    head("Page-table entry", "| bit | name | meaning |", "| --- | --- | --- |");
#define ISA_PTE(name, bit, meaning) printf("| %d | %s | %s |\n", bit, #name, meaning);
#include "isa/card.def"
    puts("| 12-51 | PFN | address of the page or of the next table |");
    puts("| others | | reserved, zero |");
}

static const char *const intro[] = {
    "<!-- SPDX-License-Identifier: Apache-2.0 -->",
    "<!-- Made by isa/gen/card_doc.c from isa/card.def and isa/packet.def: do not edit. -->",
    "# The card, as its driver meets it",
    "",
    "Programs, Xaccel and the address map are in isa.md. All figures are little endian; layouts of",
    "records are in `isa/card.h` and `isa/packet.h`.",
    "",
    "## The function",
    "",
    "BAR0 (128 KiB, 32-bit) holds the registers of the card at 0, those of node n at",
    "0x1000 + n * 0x400, and 16 doorbell pages of 4 KiB from 0x10000; BAR2 the MSI-X table (0) and",
    "pending bits (0x800). Only 32-bit accesses to BAR0 are answered; what no register is named "
    "for",
    "reads as zero. Node 0 is COMPUTE (all cores, one gang), node 1 is COPY. A `_LO` read of a "
    "counter",
    "latches its `_HI`.",
    "",
    "Configuration space has 4 KiB: a type 0 header; MSI-X at 0x40; power management at 0x50 (D0 "
    "and",
    "D3hot; no soft reset on the way back); PCI Express at 0x60 (endpoint, function-level reset; "
    "device",
    "control at 0x68, whose bit 15 resets, device status at 0x6a, whose bit 5 says that work is "
    "still",
    "being left); advanced error reporting at 0x100, which mirrors ERROR: DMA as completion "
    "timeout",
    "(uncorrectable bit 14), ECC_UNCORRECTED as internal error (22), ECC_CORRECTED as corrected "
    "internal",
    "error (correctable bit 14), CONFIG, DOORBELL and OVERHEAT as advisory (13). A driver needs "
    "none of",
    "these but MSI-X; FEATURES and ERROR tell the same.",
    "",
    "BARs answer while memory space is on, the state is D0 and the link is up; else reads are all "
    "ones",
    "and writes are dropped, and with the link down those of configuration space too. Without bus "
    "master",
    "there is no DMA, which then counts as refused, and no interrupt; once the write that took it "
    "away",
    "has returned, no access to host memory is under way, also through a mapping of before.",
    "",
    "To start: set memory space and bus master in the command register, enable and unmask MSI-X,",
    "check ID, VERSION and PROFILE_HASH, write FAULT_BASE and FAULT_LOG2, then per node the ring "
    "and",
    "completion registers and CONTROL. Enabling sets head, tail and phase back. A node that is "
    "enabled",
    "with bad registers, or while its STATE is 3, stays off (ERROR.CONFIG).",
    "",
    "## Rings and doorbells",
    "",
    "A ring is 2^n slots of 64 bytes in host memory; a node has a normal and, if HIGH_BASE is not "
    "0, a",
    "high ring. The owner fills slots, makes them visible, and writes the free-running tail to "
    "TAIL",
    "(offset 0) of doorbell page 2 * node + ring (0 normal, 1 high): one posted write. A tail "
    "behind the",
    "one in force (by less than 2^31) is ignored, so that processors may ring in any order; one "
    "more",
    "than the ring's slots ahead of the head, and one of a ring that is off, is refused",
    "(ERROR.DOORBELL).",
    "",
    "Packets of a ring run in order, each complete before the next. Before each packet of the "
    "normal",
    "ring the node empties the high ring; it never leaves a packet for that. The two nodes run at "
    "the",
    "same time.",
    "",
    "A packet that has the COMPLETE or IRQ flag, every RUN_IB and everything that does not end "
    "DONE",
    "writes an entry of 32 bytes to the node's completion ring, which both rings share (flag HIGH "
    "tells",
    "which). Its first word, with the phase bit, goes last; the phase is 1 in the first pass over "
    "the",
    "ring, 0 in the second, and so on. `head` tells which slots of that ring are free. The card "
    "does not",
    "wait for room: the completion ring must hold the entries of all packets in flight and a "
    "PREEMPTED.",
    "A fence64 that is not 0 becomes LAST_DONE (HIGH_DONE), whatever the type of the entry. A slot "
    "that",
    "cannot be read completes as FAULT (PACKET_BUS) with fence 0: `head` tells which it was.",
    "",
    "The node's interrupt (vector 1 + node, or the last one granted) comes with the IRQ flag, with "
    "each",
    "PREEMPTED, or once when LAST_DONE (HIGH_DONE) reaches what was written to ARM (offset 8 of "
    "the",
    "ring's doorbell page), compared modulo 2^32; at once if it has already. Vector 0 comes with "
    "fault",
    "records and ERROR bits. A masked vector stays pending.",
    "",
    "Fault records are numbered through; two nodes may write theirs at the same time, so that a "
    "record",
    "may be there before one of a lower number.",
    "",
    "## Contexts and command buffers",
    "",
    "RUN_IB names a context descriptor (64 bytes in host memory) and a command buffer in its "
    "address",
    "space. Packets of a command buffer run in order. A fault loses the context: the card writes",
    "state LOST, a fault record and a FAULT entry, and completes later RUN_IBs of it as ABORTED.",
    "",
    "LAUNCH starts a gang of `cores` harts as isa.md says and ends when all made the exit call. "
    "LM,",
    "registers, tickets and descriptors are clear at its start; SRAM is cleared when the address "
    "space",
    "changes. A heap call stops the gang at an instruction boundary, writes the save area, sets "
    "state",
    "SUSPENDED and completes the RUN_IB as SUSPENDED; packets behind the LAUNCH do not run. RESUME "
    "in",
    "a later command buffer goes on, with its result in a0 of the callers; put behind it what "
    "stood",
    "behind the LAUNCH. Another launch in the context forgets the saved one.",
    "",
    "## Preemption",
    "",
    "A token in PREEMPT stops the normal ring. If a RUN_IB of it is in work, all cores stop at "
    "their next",
    "instruction boundary, also those that wait at a barrier, with drained engines; the gang goes "
    "to the",
    "save area (reason 2, `token`, `ib_va`, `ib_offset` of its LAUNCH or RESUME, buffers in "
    "force), the",
    "context becomes PREEMPTED, and its `cycles` and the node's CYCLES are charged so far. Between",
    "packets of the command buffer the header alone is written, with 0 cores, and `ib_offset` of "
    "the next",
    "packet. While the context is SUSPENDED and its RESUME has not run, the run only stops behind "
    "that.",
    "Any other packet ends first. A RUN_IB that ends, faults or suspends first is told as that.",
    "",
    "Then the slots that the ring holds are dropped and the entry PREEMPTED comes: `info` is the "
    "token,",
    "with bit 32 (SAVED) when a RUN_IB was saved: the first behind `fence`, which is the ring's "
    "last done",
    "one. `head` is the tail as the card saw it. The stopped RUN_IB has no entry of its own. Until "
    "the",
    "entry comes the owner does not ring the normal ring. A node between packets answers at once, "
    "also",
    "asleep; of several tokens that were not yet answered only the last is. A RUN_IB without a "
    "save area,",
    "or with one too small, faults (BAD_SAVE_AREA) when it has to be saved.",
    "",
    "A RUN_IB with CONTINUE and the same `va` goes on where the save area of the PREEMPTED context "
    "says;",
    "anything else there is BAD_RESUME. Its `bytes`, `quantum` and `fence` are its own. A gang "
    "goes on",
    "with the same bits in all that a program can see, but for load reservations, which are lost: "
    "a",
    "store-conditional fails and is tried again. RUN_IB without CONTINUE forgets what was saved.",
    "",
    "`quantum` gives a RUN_IB so many cycles of card time as functional mode counts them (see "
    "below; in",
    "timing mode too): every core may run until one of its engines or its hart has used what is "
    "left of",
    "it. A core that has is parked; when all cores are parked, wait at a barrier for one that is, "
    "or",
    "ended, the gang is saved and the entry is EXPIRED, with the context PREEMPTED. Copies and "
    "fills of",
    "the command buffer count, and are checked between packets. Each RUN_IB gets through at least "
    "one",
    "packet, or on each core one instruction, issue or barrier, however small its quantum is. A "
    "quantum",
    "smaller than a loop of load-reserved and store-conditional may keep it from ever succeeding.",
    "",
    "Registers, LM, descriptors and tickets that a gang leaves are cleared before another starts "
    "or goes",
    "on; so is SRAM if the address space is another.",
    "",
    "## Reset",
    "",
    "| | node's RESET | card's RESET | function-level reset | link lost | replaced |",
    "| --- | --- | --- | --- | --- | --- |",
    "| packet in work | left, no entry | left | left | left | left |",
    "| rings, requests, translations | gone | gone | gone | gone | gone |",
    "| counters of the node | kept | zero | zero | zero | zero |",
    "| LAST_ABORTED | set | set | set | set | zero |",
    "| other registers | kept | as after power-on | as after power-on | as after power-on | as "
    "after power-on |",
    "| what says \"kept\", SERIAL | kept | kept | kept | kept | of another card |",
    "| card memory, SRAM | kept | zero | zero | zero | zero |",
    "| configuration space, MSI-X table | kept | kept | as after power-on, error status kept | the "
    "same | the same |",
    "| ends HANG of depth | 0 | 0, 1 | all | all | all |",
    "",
    "A reset is asked for by a write and needs no waiting: STATE is 3, and RESET reads 1, until it "
    "is",
    "done, then STATE is 0. A gang is left at its next instruction boundary, so a program cannot "
    "hold a",
    "reset up; memory that the packet wrote so far stays written, its context descriptor does not "
    "change.",
    "LAST_ABORTED is the fence64 of that packet, or 0 if there was none. For a function-level "
    "reset set",
    "bit 15 of device control, wait until bit 5 of device status is clear, and set the function up "
    "anew.",
    "",
    "## Translation",
    "",
    "Tables have four levels of 512 entries, 4 KiB each, in card or host memory; the root is in "
    "the",
    "context descriptor. LEAF at level 1 maps 2 MiB, at level 0 it maps 4 KiB and must be set. A "
    "page",
    "may be writable or executable, not both. The card keeps translations and decoded code across",
    "packets and launches: send TLB_INV after an entry that was valid has changed, and after the",
    "bytes of code have. Entries that become valid need none. When TLB_INV has completed, on "
    "whichever",
    "node, no hart, engine or copy of either node uses an older translation or mapping of host "
    "memory any",
    "more: a gang that runs is stopped for it at an instruction boundary and goes on.",
    "",
    "Host pages that the host cannot map are held as copies while a packet runs; changed bytes go",
    "back before the next one. Where they can be mapped they are used in place.",
    "",
    "## Save area",
    "",
    "ISA_SAVE_HEADER_BYTES of header, then per core of the gang ISA_SAVE_RECORD_BYTES of record "
    "(pc,",
    "registers, fcsr, tickets, `after` masks, staging descriptors, queued issues) and LM_BYTES for "
    "its LM,",
    "of which the first `lm_used` bytes are written and the rest is zero; SAVE_BYTES in all. SRAM "
    "follows",
    "as far as the program wrote to it (`sram_bytes`): the area must be longer for programs that "
    "do, or",
    "they fault (BAD_SAVE_AREA, value: bytes needed). It lies in physical memory that no program "
    "can",
    "reach.",
    "",
    "## Errors of memory",
    "",
    "A single-bit error is corrected and counted (ECC_CORRECTED, ERROR.ECC_CORRECTED). A "
    "double-bit error",
    "spoils its page of 4 KiB: ECC_UNCORRECTED counts, ECC_ADDRESS has the oldest that was not "
    "taken, and",
    "every access faults (ECC, value: the page): harts, engines, copies, fills of a part of it, "
    "page",
    "walks, PTE_WRITE and the save area. A ring's FILL by card address of one row that covers the "
    "page, or",
    "a reset of the card, makes it good again. Neighbours are not affected, also in a large page.",
    "",
    "## Power and sensors",
    "",
    "POWER asks for a state, POWER_STATE tells what is in force: SLEEP once no packet is in work. "
    "Asleep",
    "(and in D3hot) nodes begin no packet; doorbells are taken, PREEMPT and RESET are answered. "
    "Awake again they",
    "go on. The link, memory and registers stay.",
    "",
    "The simulated card's sensors follow a model, by the host's clock, as they are read. It draws "
    "6 W and",
    "0.25 W a core when idle, 0.5 W asleep; while COMPUTE is busy 1.5 W more a core, COPY 3 W. "
    "Busy shares",
    "are low passes of 50 ms. POWER_LIMIT_MAX is all of that, POWER_LIMIT_MIN idle and a quarter "
    "of the",
    "rest. Above POWER_LIMIT the clock is lowered until the draw keeps it, at most to a quarter",
    "(POWER_CAP). TEMPERATURE is a low pass of 8 s of 35 degrees + 36 * draw / POWER_LIMIT_MAX; "
    "slowdown",
    "is at 90 (half the clock, THERMAL), critical 100. A lowered clock only shows in CLOCK_NOW_KHZ "
    "and the",
    "draw: cycles are counted as before, and the simulator works as fast as it can.",
    "",
    "HEARTBEAT counts packets, pieces of copies, issues and slices of harts: it moves as long as a "
    "healthy",
    "gang or a copy does.",
    "The simulated card works in threads of the host, which may wait seconds for a processor. HELD "
    "moves",
    "when a node had work and its thread used less than a millisecond of processor time since the "
    "last",
    "read: time in which it moves says nothing about the card. A node that was made to hang does "
    "not move it.",
    "",
    "## Card time",
    "",
    "`info` of DONE, the context's `cycles` and the node's CYCLES count modelled cycles: with",
    "FEATURES.TIMING those of the event simulation, else for each launch the longest core's "
    "greatest",
    "sum over an engine or its hart, as if all overlapped. Copies cost their bytes at DRAM speed.",
    NULL,
};

int main(void) {
    text(intro);
    registers();
    ring_packets();
    command_buffer();
    results();
    page_tables();
    return 0;
}
