// SPDX-License-Identifier: Apache-2.0
#include "tests/hw/os.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARENA_BYTES  (UINT64_C(4) << 20)
#define IB_BYTES     256u
#define STACK_STRIDE (ISA_STACK_BYTES + ISA_PAGE_BYTES)

// --- News ---

static void notify(void *user, const hw_notice_t *notice) {
    os_t *os = user;
    os_event_t *event = &os->events[os->n_events % OS_EVENTS];
    CHECK(os->n_events - LOAD_ACQUIRE(&os->n_seen) < OS_EVENTS);
    event->notice = *notice;
    if (notice->fault != NULL)
        event->record = *notice->fault;
    STORE_RELEASE(&os->n_events, os->n_events + 1);
}

static bool isr(void *user, uint32_t vector) {
    os_t *os = user;
    CHECK(vector < (os->vectors != 0 ? os->vectors : 1 + ISA_NODE_COUNT));
    atomic_fetch_add(&os->n_interrupts, 1);
    return hw_isr(os->hw, vector);
}

static void dpc(void *user) {
    os_t *os = user;
    hw_dpc(os->hw);
}

static void log_event(void *user, port_log_t id, uint64_t a, uint64_t b, uint64_t c) {
    os_t *os = user;
    (void)b;
    (void)c;
    if (id != PORT_LOG_REFUSED)
        return;
    os->n_refused++;
    os->refused_register = a;
}

// --- The machine ---

static uint64_t bar_read(void *self, uint32_t bar, uint64_t offset, uint32_t bytes) {
    os_t *os = self;
    uint64_t value = os->card.bar_read(os->card.self, bar, offset, bytes);
    bool is_lie = bar == 0 && os->lie_offset != 0 && offset == os->lie_offset;
    return is_lie ? os->lie_value : value;
}
static void bar_write(void *self, uint32_t bar, uint64_t offset, uint32_t bytes, uint64_t value) {
    os_t *os = self;
    os->card.bar_write(os->card.self, bar, offset, bytes, value);
}
static uint32_t config_read(void *self, uint32_t offset, uint32_t bytes) {
    os_t *os = self;
    return os->card.config_read(os->card.self, offset, bytes);
}
static void config_write(void *self, uint32_t offset, uint32_t bytes, uint32_t value) {
    os_t *os = self;
    os->card.config_write(os->card.self, offset, bytes, value);
}

void os_make(os_t *os, const os_options_t *options) {
    memset(os, 0, sizeof *os);
    os->posted = options->posted;
    CHECK(port_user_create(log_event, os, &os->port) == STATUS_OK);
    os->base = port_user_base(os->port);
    sim_host_t host = sim_card_host(os->port);
    sim_options_t card = {
        .version = SIM_VERSION,
        .profile = isa_profile_find("edge"),
        .cores = options->cores != 0 ? options->cores : 2,
        .posted = options->posted,
        .memory_bytes = UINT64_C(64) << 20,
    };
    CHECK(sim_function_create(&card, &host, &os->card) == STATUS_OK);
    port_user_function_t function = {os, config_read, config_write, bar_read, bar_write};
    CHECK(port_user_attach(os->port, &function) == STATUS_OK);
    CHECK(os->base->ops->dma_alloc(os->base, ARENA_BYTES, &os->arena) == STATUS_OK);
    os->card_used = ISA_PAGE_BYTES;
}

status_t os_start_hw(os_t *os, const os_options_t *options) {
    hw_owner_t owner = {.notify = notify, .user = os};
    RETURN_IF_ERROR(hw_start(os->base, &owner, &os->hw));
    port_irq_t irq = {.isr = isr, .dpc = dpc, .user = os};
    uint32_t vectors;
    os->vectors = options->vectors;
    CHECK(os->base->ops->irq_enable(os->base, &irq, &vectors) == STATUS_OK);
    hw_set_vectors(os->hw, options->vectors != 0 ? options->vectors : vectors);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        os_queue_t *queue = &os->queues[i];
        queue->last_id = queue->submitted = queue->completed = options->first_id;
        queue->reference = UINT64_C(0x700000000) | options->first_id;
    }
    return STATUS_OK;
}

void os_start(os_t *os, const os_options_t *options) {
    os_make(os, options);
    CHECK(os_start_hw(os, options) == STATUS_OK);
}

void os_stop(os_t *os) {
    os_join(os);
    if (os->hw != NULL) {
        os->base->ops->irq_disable(os->base);
        os->base->ops->irq_sync(os->base);
        hw_stop(os->hw);
    }
    os->base->ops->dma_free(os->base, &os->arena);
    port_user_detach(os->port);
    os->card.destroy(os->card.self);
    port_user_destroy(os->port);
}

// --- Memory ---

void *os_host_alloc(os_t *os, uint64_t bytes) {
    uint8_t *at = (uint8_t *)os->arena.cpu + os->arena_used;
    os->arena_used += (bytes + ISA_PAGE_BYTES - 1) & ~(ISA_PAGE_BYTES - 1);
    CHECK(os->arena_used <= os->arena.bytes);
    return at;
}

uint64_t os_address(const os_t *os, const void *host) {
    return os->arena.address + (uint64_t)((const uint8_t *)host - (const uint8_t *)os->arena.cpu);
}

static uint64_t *host_at(const os_t *os, uint64_t address) {
    CHECK(address - os->arena.address < os->arena.bytes);
    return (uint64_t *)(void *)((uint8_t *)os->arena.cpu + (address - os->arena.address));
}

uint64_t os_card_alloc(os_t *os, uint64_t bytes) {
    uint64_t at = os->card_used;
    os->card_used += (bytes + ISA_PAGE_BYTES - 1) & ~(ISA_PAGE_BYTES - 1);
    CHECK(os->card_used <= hw_info(os->hw)->memory_bytes);
    return at;
}

// The entry of `va` in the table of `level`; tables above are in host memory.
static uint64_t *entry_at(os_t *os, const os_process_t *process, uint64_t va, uint32_t level) {
    uint64_t *table = host_at(os, process->root);
    for (uint32_t at = ISA_PTE_LEVELS - 1; at > level; at--) {
        uint64_t *entry = &table[isa_pte_index(va, at)];
        if (*entry == 0)
            STORE_RELEASE(entry, hw_pte_table(os_address(os, os_host_alloc(os, 4096)), true));
        table = host_at(os, *entry & ISA_PTE_ADDRESS);
    }
    return &table[isa_pte_index(va, level)];
}

void os_map(os_t *os, const os_process_t *process, uint64_t va, uint64_t address, uint64_t bytes,
            uint32_t flags) {
    for (uint64_t at = 0; at < bytes; at += ISA_PAGE_BYTES)
        STORE_RELEASE(entry_at(os, process, va + at, 0), hw_pte_leaf(address + at, flags));
}

static void do_paging(os_t *os, const isa_ring_packet_t *packet) {
    os_buffer_t buffer;
    os_paging(packet, &buffer);
    os_submit(os, ISA_NODE_COPY, &buffer);
    os_wait(os, &buffer);
    CHECK_EQUAL(buffer.how, HW_NOTICE_DONE);
}

uint64_t os_map_paged(os_t *os, const os_process_t *process, uint64_t va, uint64_t address,
                      uint64_t bytes, uint32_t flags) {
    uint64_t table = os_card_alloc(os, ISA_PTE_TABLE_BYTES);
    isa_ring_packet_t packet;
    hw_packet_fill(&packet, (hw_place_t){table, false}, 0, ISA_PTE_TABLE_BYTES);
    do_paging(os, &packet);
    hw_packet_pte_write(&packet, (hw_place_t){table + 8 * isa_pte_index(va, 0), false},
                        hw_pte_leaf(address, flags), ISA_PAGE_BYTES,
                        (uint32_t)(bytes / ISA_PAGE_BYTES));
    do_paging(os, &packet);
    STORE_RELEASE(entry_at(os, process, va, 1), hw_pte_table(table, false));
    return table;
}

void os_flush(os_t *os, const os_process_t *process) {
    isa_ring_packet_t packet;
    hw_packet_tlb_inv(&packet, process->asid, 0, 0);
    do_paging(os, &packet);
}

void os_upload(os_t *os, uint64_t card_address, const void *data, uint64_t bytes) {
    uint64_t used = os->arena_used;
    void *host = os_host_alloc(os, bytes);
    memcpy(host, data, bytes);
    isa_ring_packet_t packet;
    hw_packet_move(&packet, (hw_place_t){card_address, false},
                   (hw_place_t){os_address(os, host), true}, bytes);
    do_paging(os, &packet);
    memset(host, 0, bytes);
    os->arena_used = used;
}

void os_download(os_t *os, void *out_data, uint64_t card_address, uint64_t bytes) {
    uint64_t used = os->arena_used;
    void *host = os_host_alloc(os, bytes);
    isa_ring_packet_t packet;
    hw_packet_move(&packet, (hw_place_t){os_address(os, host), true},
                   (hw_place_t){card_address, false}, bytes);
    do_paging(os, &packet);
    memcpy(out_data, host, bytes);
    memset(host, 0, bytes);
    os->arena_used = used;
}

void os_process_init(os_t *os, os_process_t *process, uint16_t asid) {
    const hw_info_t *info = hw_info(os->hw);
    uint64_t *root = os_host_alloc(os, ISA_PTE_TABLE_BYTES);
    *process = (os_process_t){.root = os_address(os, root), .asid = asid};
    process->context = os_host_alloc(os, sizeof *process->context);
    process->context_address = os_address(os, process->context);
    hw_context_t what = {.root = process->root,
                         .root_in_host = true,
                         .save = os_card_alloc(os, info->save_bytes),
                         .save_bytes = info->save_bytes,
                         .asid = asid};
    hw_ctx_encode(&what, process->context);
    process->data = os_host_alloc(os, ISA_PAGE_BYTES);
    process->ib = os_host_alloc(os, ISA_PAGE_BYTES);
    uint32_t host = HW_PTE_HOST | HW_PTE_WRITE;
    os_map(os, process, OS_DATA_VA, os_address(os, (const void *)process->data), ISA_PAGE_BYTES,
           host);
    os_map(os, process, OS_IB_VA, os_address(os, process->ib), ISA_PAGE_BYTES, HW_PTE_HOST);
    for (uint32_t i = 0; i < info->cores; i++)
        os_map(os, process, ISA_VA_STACK + i * STACK_STRIDE, os_card_alloc(os, ISA_STACK_BYTES),
               ISA_STACK_BYTES, HW_PTE_WRITE);
    process->code = os_card_alloc(os, PROGRAM_WORDS * 4);
    (void)os_map_paged(os, process, ISA_VA_IMAGE, process->code, PROGRAM_WORDS * 4, HW_PTE_EXECUTE);
}

void os_process_load(os_t *os, const os_process_t *process, const program_t *program) {
    os_upload(os, process->code, program->words, program->n * 4);
    os_flush(os, process);
    process->context->state = ISA_CTX_STATE_READY;
}

// --- Work ---

void os_launch(os_t *os, os_process_t *process, uint32_t cores, os_buffer_t *out_buffer) {
    (void)os;
    uint32_t slot = process->n_ibs++ % (ISA_PAGE_BYTES / IB_BYTES);
    isa_ib_launch_t launch = {
        .head = {.op = ISA_IB_LAUNCH, .bytes = ISA_IB_LAUNCH_BYTES},
        .entry = ISA_VA_IMAGE,
        .args = OS_DATA_VA,
        .stack = ISA_VA_STACK,
        .stack_bytes = ISA_STACK_BYTES,
        .stack_stride = STACK_STRIDE,
        .cores = cores,
        .launch = process->n_ibs,
    };
    memcpy(process->ib + slot * IB_BYTES, &launch, sizeof launch);
    *out_buffer = (os_buffer_t){.is_fresh = true};
    hw_packet_run_ib(&out_buffer->packet, process->context_address, OS_IB_VA + slot * IB_BYTES,
                     sizeof launch);
}

void os_paging(const isa_ring_packet_t *packet, os_buffer_t *out_buffer) {
    *out_buffer = (os_buffer_t){.packet = *packet, .is_paging = true, .is_fresh = true};
}

void os_paging_many(isa_ring_packet_t *packets, uint32_t n, os_buffer_t *out_buffer) {
    CHECK(n >= 1 && n <= HW_BATCH_MAX);
    *out_buffer =
        (os_buffer_t){.packets = packets, .n_packets = n, .is_paging = true, .is_fresh = true};
}

void os_submit(os_t *os, uint32_t node, os_buffer_t *buffer) {
    os_queue_t *queue = &os->queues[node];
    CHECK(queue->n_waiting < OS_WAITING);
    queue->waiting[queue->n_waiting++] = buffer;
}

// --- Doorbells ---

typedef struct ring_call {
    os_t *os;
    uint32_t node, ring;
} ring_call_t;

static void *ring_aside(void *argument) {
    ring_call_t call = *(ring_call_t *)argument;
    free(argument);
    hw_kick(call.os->hw, call.node, call.ring);
    return NULL;
}

static void kick(os_t *os, uint32_t node, uint32_t ring) {
    if (os->posted || !os->aside) {
        hw_kick(os->hw, node, ring);
        return;
    }
    ring_call_t *call = malloc(sizeof *call);
    CHECK(call != NULL && os->n_threads < OS_THREADS);
    *call = (ring_call_t){os, node, ring};
    CHECK(pthread_create(&os->threads[os->n_threads++], NULL, ring_aside, call) == 0);
}

void os_join(os_t *os) {
    while (os->n_threads > 0)
        CHECK(pthread_join(os->threads[--os->n_threads], NULL) == 0);
}

void os_submit_high(os_t *os, uint32_t node, os_buffer_t *buffer) {
    os_queue_t *queue = &os->queues[node];
    CHECK(queue->high == NULL && hw_credit(os->hw, node, ISA_RING_HIGH) > 0);
    queue->high = buffer;
    buffer->fence = ++queue->high_fence;
    hw_submit(os->hw, node, ISA_RING_HIGH, &buffer->packet, buffer->fence);
    kick(os, node, ISA_RING_HIGH);
}

// --- The scheduler ---

static bool id_after(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }

// Ids go up from what was completed to what was handed over, whatever came back meanwhile.
static void hand_over(os_t *os, uint32_t node) {
    os_queue_t *queue = &os->queues[node];
    os_buffer_t *buffer = queue->waiting[0];
    memmove(queue->waiting, queue->waiting + 1, --queue->n_waiting * sizeof buffer);
    if (buffer->is_fresh)
        buffer->id = ++queue->last_id;
    buffer->is_fresh = false;
    CHECK(id_after(buffer->id, queue->completed));
    if (queue->n_flight > 0)
        CHECK(id_after(buffer->id, queue->flight[queue->n_flight - 1]->id));
    buffer->fence = hw_fence_extend(queue->reference, buffer->id);
    CHECK_EQUAL((uint32_t)buffer->fence, buffer->id);
    CHECK(buffer->fence > hw_fence_done(os->hw, node, ISA_RING_NORMAL));
    queue->reference = buffer->fence;
    queue->submitted = buffer->id;
    queue->flight[queue->n_flight++] = buffer;
    if (queue->n_flight > queue->most_flight)
        queue->most_flight = queue->n_flight;
    if (buffer->packets != NULL)
        hw_submit_batch(os->hw, node, ISA_RING_NORMAL, buffer->packets + buffer->n_over,
                        buffer->n_packets - buffer->n_over, buffer->fence);
    else
        hw_submit(os->hw, node, ISA_RING_NORMAL, &buffer->packet, buffer->fence);
}

static bool feed(os_t *os, uint32_t node) {
    os_queue_t *queue = &os->queues[node];
    uint32_t n = 0;
    while (queue->n_flight < OS_DEPTH && queue->n_waiting > 0 && !queue->is_stopping &&
           !os->is_gone && hw_credit(os->hw, node, ISA_RING_NORMAL) > 0) {
        CHECK(hw_credit(os->hw, node, ISA_RING_NORMAL) >= HW_BATCH_MAX); // what the rule promises
        hand_over(os, node);
        n++;
    }
    if (n == 0)
        return false;
    uint64_t last = queue->flight[queue->n_flight - 1]->fence;
    hw_arm(os->hw, node, ISA_RING_NORMAL, last);
    kick(os, node, ISA_RING_NORMAL);
    return true;
}

static void push_front(os_queue_t *queue, os_buffer_t *buffer) {
    CHECK(queue->n_waiting < OS_WAITING);
    memmove(queue->waiting + 1, queue->waiting, queue->n_waiting++ * sizeof buffer);
    queue->waiting[0] = buffer;
}

// Paging buffers come back first, in order and with their ids; others get new ones.
static void come_back(os_queue_t *queue) {
    for (uint32_t paging = 0; paging < 2; paging++) {
        for (uint32_t i = queue->n_flight; i-- > 0;) {
            os_buffer_t *buffer = queue->flight[i];
            if (buffer->is_paging != (paging != 0))
                continue;
            buffer->is_fresh = !buffer->is_paging;
            push_front(queue, buffer);
        }
    }
    queue->n_flight = 0;
    queue->submitted = queue->completed;
    queue->reference -= queue->reference - hw_fence_extend(queue->reference, queue->completed);
}

static void end_buffer(os_buffer_t *buffer, const os_event_t *event) {
    const hw_notice_t *notice = &event->notice;
    CHECK(!buffer->is_over);
    CHECK_EQUAL(notice->fence, buffer->fence);
    buffer->is_over = true;
    buffer->how = notice->kind;
    buffer->cause = notice->cause;
    buffer->info = notice->info;
    buffer->has_record = notice->fault != NULL;
    buffer->record = event->record;
}

static os_buffer_t *take_first(os_queue_t *queue) {
    CHECK(queue->n_flight > 0);
    os_buffer_t *buffer = queue->flight[0];
    queue->flight[0] = queue->flight[1];
    queue->n_flight--;
    queue->completed = buffer->id;
    return buffer;
}

static void on_packet(os_t *os, const os_event_t *event) {
    os_queue_t *queue = &os->queues[event->notice.node];
    if (event->notice.ring == ISA_RING_HIGH) {
        CHECK(queue->high != NULL);
        end_buffer(queue->high, event);
        queue->high = NULL;
        return;
    }
    os_buffer_t *buffer = take_first(queue); // in the order of submission
    if (event->notice.kind != HW_NOTICE_EXPIRED) {
        end_buffer(buffer, event);
        return;
    }
    CHECK_EQUAL(event->notice.fence, buffer->fence);
    buffer->n_expired++;
    buffer->is_fresh = true;
    hw_packet_run_for(&buffer->packet, buffer->packet.run_ib.quantum, true);
    push_front(queue, buffer);
}

static void on_stopped(os_t *os, const hw_notice_t *notice) {
    os_queue_t *queue = &os->queues[notice->node];
    CHECK(queue->is_stopping);
    CHECK_EQUAL(notice->info, queue->token);
    CHECK_EQUAL(notice->ring, ISA_RING_NORMAL);
    for (uint32_t i = 0; i < queue->n_flight; i++) {
        CHECK(queue->flight[i]->fence > notice->fence);
        queue->flight[i]->n_preempted++;
    }
    CHECK(!notice->saved || queue->n_flight > 0);
    CHECK(notice->packets == 0 || queue->n_flight > 0);
    if (notice->packets > 0)
        queue->flight[0]->n_over += notice->packets;
    if (queue->n_flight > 0 && queue->flight[0]->packets != NULL)
        CHECK(queue->flight[0]->n_over < queue->flight[0]->n_packets);
    if (notice->saved) {
        os_buffer_t *buffer = queue->flight[0];
        buffer->n_saved++;
        hw_packet_run_for(&buffer->packet, buffer->packet.run_ib.quantum, true);
    }
    come_back(queue);
    queue->is_stopping = false;
}

static void on_event(os_t *os, const os_event_t *event) {
    switch (event->notice.kind) {
    case HW_NOTICE_PREEMPTED:
        on_stopped(os, &event->notice);
        break;
    case HW_NOTICE_CORRUPT:
        os->n_corrupt++;
        hw_dpc(os->hw);
        break;
    case HW_NOTICE_ALARM:
        os->alarms |= event->notice.info;
        break;
    case HW_NOTICE_GONE:
        os->n_gone++;
        os->is_gone = true;
        break;
    default:
        on_packet(os, event);
        break;
    }
}

static bool take_events(os_t *os) {
    bool any = false;
    while (os->n_seen != LOAD_ACQUIRE(&os->n_events)) {
        os_event_t event = os->events[os->n_seen % OS_EVENTS];
        STORE_RELEASE(&os->n_seen, os->n_seen + 1);
        on_event(os, &event);
        any = true;
    }
    return any;
}

bool os_pump(os_t *os) {
    if (!os->by_interrupt)
        hw_poll(os->hw);
    bool any = take_events(os);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        any |= feed(os, i);
    return any;
}

static void nap(void) {
    struct timespec pause = {0, 50000};
    (void)nanosleep(&pause, NULL);
}

void os_wait(os_t *os, const os_buffer_t *buffer) {
    while (!buffer->is_over) {
        CHECK(!os->is_gone);
        if (!os_pump(os))
            nap();
    }
}

void os_drain(os_t *os) {
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        while (os->queues[i].n_flight + os->queues[i].n_waiting > 0)
            if (!os_pump(os))
                nap();
}

void os_wait_data(os_t *os, _Atomic uint64_t *data, uint64_t value) {
    while (atomic_load(data) < value)
        if (!os_pump(os))
            nap();
}

// --- Stops and resets ---

void os_stop_node_begin(os_t *os, uint32_t node) {
    os_queue_t *queue = &os->queues[node];
    (void)take_events(os);
    CHECK(!queue->is_stopping);
    queue->is_stopping = true;
    hw_preempt(os->hw, node, ++queue->token);
}

void os_stop_node_wait(os_t *os, uint32_t node) {
    while (os->queues[node].is_stopping) {
        hw_poll(os->hw);
        if (!take_events(os))
            nap();
    }
}

status_t os_reset_node(os_t *os, uint32_t node, uint32_t *out_aborted_id) {
    os_queue_t *queue = &os->queues[node];
    uint64_t aborted;
    status_t status = hw_reset_node(os->hw, node, &aborted);
    (void)take_events(os); // what was done before
    *out_aborted_id = (uint32_t)aborted;
    if (status != STATUS_OK)
        return status;
    if (aborted != 0) {
        // Else the system stops the machine.
        CHECK(id_after((uint32_t)aborted, queue->completed));
        CHECK(!id_after((uint32_t)aborted, queue->submitted));
        CHECK(queue->n_flight > 0);
        CHECK_EQUAL(queue->flight[0]->fence, aborted);
        os_buffer_t *buffer = take_first(queue);
        buffer->is_over = true;
        buffer->how = HW_NOTICE_ABORTED;
    }
    queue->is_stopping = false;
    come_back(queue);
    return STATUS_OK;
}

status_t os_reset_card(os_t *os) {
    status_t status = hw_reset_card(os->hw);
    (void)take_events(os);
    if (status != STATUS_OK)
        return status;
    os->is_gone = false;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        os_queue_t *queue = &os->queues[i];
        queue->is_stopping = false;
        queue->high = NULL;
        while (queue->n_flight > 0) {
            os_buffer_t *buffer = take_first(queue);
            buffer->is_over = true;
            buffer->how = HW_NOTICE_ABORTED;
        }
        queue->completed = queue->submitted; // as the rule for the whole adapter is
    }
    return STATUS_OK;
}

// --- Programs ---

// data[index] = rs, seen whole by the other side (several cores may do it).
static void put_data(program_t *p, uint32_t index, uint32_t rs) {
    addi(p, T2, A0, (int32_t)(8 * index));
    amoswap(p, ZERO, rs, T2);
}

void os_program_gate(program_t *p) {
    *p = (program_t){.n = 0};
    li(p, S2, OS_GATE_RESULT - 5);
    li(p, S3, ISA_LM_BASE + 0x800);
    addi(p, T0, ZERO, 5);
    sd(p, T0, S3, 0);
    addi(p, T0, ZERO, 1);
    put_data(p, 0, T0);
    addi(p, T2, A0, 8);
    uint32_t wait = p->n;
    amoadd(p, T0, ZERO, T2);
    emit(p, branch_word(0, T0, ZERO, ((int32_t)wait - (int32_t)p->n) * 4));
    ld(p, T1, S3, 0);
    add(p, S2, S2, T1);
    put_data(p, 2, S2);
    finish(p, 0);
}

void os_program_count(program_t *p, uint32_t n) {
    *p = (program_t){.n = 0};
    li(p, S2, n);
    li(p, S3, 0);
    uint32_t loop = p->n;
    addi(p, S3, S3, 1);
    bne(p, S3, S2, loop);
    put_data(p, 3, S3);
    finish(p, 0);
}
