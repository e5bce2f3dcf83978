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
    "pending bits (0x800). Only 32-bit accesses to BAR0 are answered. Node 0 is COMPUTE (all "
    "cores,",
    "one gang), node 1 is COPY. A `_LO` read of a counter latches its `_HI`.",
    "",
    "To start: set memory space and bus master in the command register, enable and unmask MSI-X,",
    "check ID, VERSION and PROFILE_HASH, write FAULT_BASE and FAULT_LOG2, then per node the ring "
    "and",
    "completion registers and CONTROL. Enabling sets head, tail and phase back.",
    "",
    "## Rings and doorbells",
    "",
    "A ring is 2^n slots of 64 bytes in host memory. The owner fills slots, makes them visible, "
    "and",
    "writes the free-running tail to TAIL (offset 0) of doorbell page 2 * node + ring (0 normal,",
    "1 high): one posted write. Packets of a ring run in order, each complete before the next; the",
    "two nodes run at the same time. A tail more than the ring's slots ahead of the head is "
    "refused",
    "(ERROR.DOORBELL).",
    "",
    "A packet that has the COMPLETE or IRQ flag, every RUN_IB and everything that does not end "
    "DONE",
    "writes an entry of 32 bytes to the node's completion ring. Its first word, with the phase "
    "bit,",
    "goes last; the phase is 1 in the first pass over the ring, 0 in the second, and so on. `head`",
    "tells which slots are free. The card does not wait for room: the ring must hold the entries "
    "of",
    "all packets in flight. A fence64 that is not 0 becomes LAST_DONE.",
    "",
    "The node's interrupt (vector 1 + node, or the last one granted) comes with the IRQ flag, or "
    "once",
    "when LAST_DONE reaches what was written to ARM (doorbell page, offset 8), compared modulo "
    "2^32;",
    "at once if it has already. Vector 0 comes with fault records and ERROR bits.",
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
    "tickets and descriptors are clear at its start; SRAM is cleared when the address space "
    "changes.",
    "A heap call stops the gang at an instruction boundary, writes the save area, sets state",
    "SUSPENDED and completes the RUN_IB as SUSPENDED; packets behind the LAUNCH do not run. RESUME "
    "in",
    "a later command buffer goes on, with its result in a0 of the callers; put behind it what "
    "stood",
    "behind the LAUNCH. Another launch in the context forgets the saved one.",
    "",
    "## Translation",
    "",
    "Tables have four levels of 512 entries, 4 KiB each, in card or host memory; the root is in "
    "the",
    "context descriptor. LEAF at level 1 maps 2 MiB, at level 0 it maps 4 KiB and must be set. A "
    "page",
    "may be writable or executable, not both. The card keeps translations and decoded code across",
    "packets and launches: send TLB_INV after an entry that was valid has changed, and after the",
    "bytes of code have. Entries that become valid need none.",
    "",
    "Host pages that the host cannot map are held as copies while a packet runs; changed bytes go",
    "back before the next one. Where they can be mapped they are used in place.",
    "",
    "## Save area",
    "",
    "ISA_SAVE_HEADER_BYTES of header, then per core ISA_SAVE_RECORD_BYTES of record (pc, "
    "registers,",
    "fcsr, tickets, `after` masks, staging descriptors, queued issues) and the whole LM; "
    "SAVE_BYTES",
    "in all. It lies in physical memory that no program can reach.",
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
