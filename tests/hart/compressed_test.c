// SPDX-License-Identifier: Apache-2.0
// Compressed instructions: each stands for the full one beside it (encodings by an assembler), and
// in a row of them the pc, links and page crossings are right.
#include <string.h>

#include "driver/sim/hart_internal.h"
#include "tests/hart/machine.h"

// clang-format off
static const struct {
    const char *text;
    uint32_t half, full;
} rows[] = {
    {"c.addi4spn x8,x2,4", 0x0040, 0x00410413},
    {"c.addi4spn x15,x2,1020", 0x1ffc, 0x3fc10793},
    {"c.addi4spn x9,x2,680", 0x1524, 0x2a810493},
    {"c.fld f8,8(x9)", 0x2480, 0x0084b407},
    {"c.fld f15,248(x15)", 0x3ffc, 0x0f87b787},
    {"c.lw x8,4(x9)", 0x40c0, 0x0044a403},
    {"c.lw x15,124(x10)", 0x5d7c, 0x07c52783},
    {"c.lw x12,64(x10)", 0x4130, 0x04052603},
    {"c.ld x8,8(x9)", 0x6480, 0x0084b403},
    {"c.ld x14,248(x11)", 0x7df8, 0x0f85b703},
    {"c.fsd f9,64(x12)", 0xa224, 0x04963027},
    {"c.fsd f15,192(x8)", 0xa07c, 0x0cf43027},
    {"c.sw x9,4(x8)", 0xc044, 0x00942223},
    {"c.sw x13,124(x14)", 0xdf74, 0x06d72e23},
    {"c.sd x9,8(x8)", 0xe404, 0x00943423},
    {"c.sd x13,240(x14)", 0xfb74, 0x0ed73823},
    {"c.nop", 0x0001, 0x00000013},
    {"c.addi x31,31", 0x0ffd, 0x01ff8f93},
    {"c.addi x1,-32", 0x1081, 0xfe008093},
    {"c.addiw x5,-1", 0x32fd, 0xfff2829b},
    {"c.addiw x31,31", 0x2ffd, 0x01ff8f9b},
    {"c.addiw x7,0", 0x2381, 0x0003839b},
    {"c.li x5,-32", 0x5281, 0xfe000293},
    {"c.li x30,31", 0x4f7d, 0x01f00f13},
    {"c.addi16sp x2,16", 0x6141, 0x01010113},
    {"c.addi16sp x2,-512", 0x7101, 0xe0010113},
    {"c.addi16sp x2,496", 0x617d, 0x1f010113},
    {"c.addi16sp x2,-160", 0x7135, 0xf6010113},
    {"c.lui x5,1", 0x6285, 0x000012b7},
    {"c.lui x31,31", 0x6ffd, 0x0001ffb7},
    {"c.lui x6,0xfffe0", 0x7301, 0xfffe0337},
    {"c.lui x6,0xfffff", 0x737d, 0xfffff337},
    {"c.srli x8,1", 0x8005, 0x00145413},
    {"c.srli x15,63", 0x93fd, 0x03f7d793},
    {"c.srai x8,32", 0x9401, 0x42045413},
    {"c.srai x9,5", 0x8495, 0x4054d493},
    {"c.andi x8,-1", 0x987d, 0xfff47413},
    {"c.andi x15,31", 0x8bfd, 0x01f7f793},
    {"c.andi x15,-32", 0x9b81, 0xfe07f793},
    {"c.sub x8,x9", 0x8c05, 0x40940433},
    {"c.xor x10,x11", 0x8d2d, 0x00b54533},
    {"c.or x12,x13", 0x8e55, 0x00d66633},
    {"c.and x14,x15", 0x8f7d, 0x00f77733},
    {"c.subw x8,x15", 0x9c1d, 0x40f4043b},
    {"c.addw x15,x8", 0x9fa1, 0x008787bb},
    {"c.j 2046", 0xaffd, 0x7fe0006f},
    {"c.j -2048", 0xb001, 0x801ff06f},
    {"c.j 2", 0xa009, 0x0020006f},
    {"c.j 1364", 0xab91, 0x5540006f},
    {"c.j 682", 0xa46d, 0x2aa0006f},
    {"c.beqz x8,254", 0xcc7d, 0x0e040f63},
    {"c.beqz x15,-256", 0xd381, 0xf00780e3},
    {"c.beqz x9,84", 0xc8b1, 0x04048a63},
    {"c.beqz x9,170", 0xc4cd, 0x0a048563},
    {"c.bnez x8,254", 0xec7d, 0x0e041f63},
    {"c.bnez x15,-256", 0xf381, 0xf00790e3},
    {"c.slli x1,1", 0x0086, 0x00109093},
    {"c.slli x31,63", 0x1ffe, 0x03ff9f93},
    {"c.slli x20,32", 0x1a02, 0x020a1a13},
    {"c.fldsp f1,0(x2)", 0x2082, 0x00013087},
    {"c.fldsp f31,504(x2)", 0x3ffe, 0x1f813f87},
    {"c.fldsp f8,336(x2)", 0x2456, 0x15013407},
    {"c.lwsp x1,252(x2)", 0x50fe, 0x0fc12083},
    {"c.lwsp x31,4(x2)", 0x4f92, 0x00412f83},
    {"c.lwsp x5,160(x2)", 0x528a, 0x0a012283},
    {"c.ldsp x1,504(x2)", 0x70fe, 0x1f813083},
    {"c.ldsp x31,8(x2)", 0x6fa2, 0x00813f83},
    {"c.ldsp x5,336(x2)", 0x62d6, 0x15013283},
    {"c.jr x1", 0x8082, 0x00008067},
    {"c.jr x31", 0x8f82, 0x000f8067},
    {"c.mv x5,x31", 0x82fe, 0x000f8293},
    {"c.mv x31,x1", 0x8f86, 0x00008f93},
    {"c.ebreak", 0x9002, 0x00100073},
    {"c.jalr x5", 0x9282, 0x000280e7},
    {"c.add x5,x31", 0x92fe, 0x01f282b3},
    {"c.add x31,x1", 0x9f86, 0x001f8fb3},
    {"c.fsdsp f1,504(x2)", 0xbf86, 0x1e113c27},
    {"c.fsdsp f31,8(x2)", 0xa47e, 0x01f13427},
    {"c.swsp x1,252(x2)", 0xdf86, 0x0e112e23},
    {"c.swsp x31,4(x2)", 0xc27e, 0x01f12223},
    {"c.sdsp x1,504(x2)", 0xff86, 0x1e113c23},
    {"c.sdsp x31,168(x2)", 0xf57e, 0x0bf13423},
};
// clang-format on

static void test_expand(tally_t *tally) {
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_equal(tally, rows[i].text, sim_hart_expand(rows[i].half), rows[i].full);
    static const uint32_t reserved[] = {0x0000,         // all zero
                                        0x0004,         // addi4spn 0
                                        0x8000,         // none
                                        0x2001,         // addiw x0
                                        0x6101,         // addi16sp 0
                                        0x6281,         // lui 0
                                        0x9c41, 0x9c61, // none
                                        0x4002,         // lwsp x0
                                        0x6002,         // ldsp x0
                                        0x8002};        // jr x0
    for (size_t i = 0; i < COUNT_OF(reserved); i++)
        check_equal(tally, "reserved", sim_hart_expand(reserved[i]), 0);
}

static void put(machine_t *machine, uint64_t va, uint32_t bits, uint32_t bytes) {
    memcpy(machine_at(machine, va), &bits, bytes);
}

static void test_running(machine_t *machine, tally_t *tally) {
    uint64_t end = CODE_VA + 4096;
    put(machine, CODE_VA, 0x4295, 2);                     // c.li x5,5
    put(machine, CODE_VA + 2, enc_i(0x13, 6, 5, 100), 4); // full, at half alignment
    put(machine, CODE_VA + 6, enc_u(0x37, 7, (uint32_t)(end >> 12)), 4);
    put(machine, CODE_VA + 10, enc_i(0x13, 7, 7, -2), 4);
    put(machine, CODE_VA + 14, 0x9382, 2);          // c.jalr x7
    put(machine, end - 2, enc_i(0x13, 6, 6, 7), 4); // astride two pages
    put(machine, end + 2, 0x9002, 2);               // c.ebreak
    sim_hart_flush(machine->hart);
    sim_hart_set_pc(machine->hart, CODE_VA);
    check_equal(tally, "run", sim_hart_run(machine->hart, 100), SIM_STOP_EBREAK);
    check_equal(tally, "x5", sim_hart_x(machine->hart, 5), 5);
    check_equal(tally, "x6", sim_hart_x(machine->hart, 6), 112);
    check_equal(tally, "link", sim_hart_x(machine->hart, 1), CODE_VA + 16);
    check_equal(tally, "pc", sim_hart_pc(machine->hart), end + 2);
    // the second half of an instruction lies in no page
    uint64_t last = CODE_VA + CODE_BYTES;
    put(machine, last - 2, 0x0013, 2);
    sim_hart_flush(machine->hart);
    sim_hart_set_pc(machine->hart, last - 2);
    check_equal(tally, "half", sim_hart_run(machine->hart, 100), SIM_STOP_FAULT);
    check_equal(tally, "half", sim_hart_fault(machine->hart)->va, last);
    check_equal(tally, "half", sim_hart_fault(machine->hart)->access, ISA_ACCESS_EXECUTE);
    check_equal(tally, "half", sim_hart_pc(machine->hart), last - 2);
    put(machine, CODE_VA, 0x2001, 2);
    sim_hart_flush(machine->hart);
    sim_hart_set_pc(machine->hart, CODE_VA);
    check_equal(tally, "illegal", sim_hart_run(machine->hart, 100), SIM_STOP_FAULT);
    check_equal(tally, "illegal", sim_hart_fault(machine->hart)->value, 0x2001);
}

int main(void) {
    machine_t machine;
    tally_t tally = {0, 0};
    if (!machine_init(&machine, NULL))
        return 1;
    test_expand(&tally);
    test_running(&machine, &tally);
    machine_deinit(&machine);
    printf("%u checks, %u failures\n", tally.checks, tally.failures);
    return tally.failures == 0 ? 0 : 1;
}
