// SPDX-License-Identifier: Apache-2.0
#ifndef CARD_ROWS_H
#define CARD_ROWS_H

// Rows that do not issue (after, wait, barrier) on each queue and any number of cores, and copies
// into the LM of several cores; both engine sets, with and without timing.
void rows_config_test(void);

#endif
