// SPDX-License-Identifier: Apache-2.0
// The COPY node: what goes to it next, and how much of it. All of it under the scheduler spin.
//
// A packet in work is not interrupted, so a long copy or fill goes to the card in pieces that take
// a few milliseconds at most, one of a job at a time; nothing of its context is put behind one that
// is not the last. At most two pieces' worth is in the ring, so that whoever comes new need not
// wait for more; short packets go as deep as the ring allows. Clients take turns, and so do the
// contexts of a client. Packets of rm's own go first, but fills alternate with others' copies:
// neither may keep the node from the other.
#include "driver/rm/rm_internal.h"

#define PIECE_BYTES (UINT64_C(8) << 20)
#define ROW_BYTES   1024u // that a row costs besides its own
#define RING_BYTES  (2 * PIECE_BYTES)

// --- Pieces: the job's packet is what is left, but for `at` bytes of its first row ---

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static bool is_in_row(const rm_job_t *job) {
    return job->at != 0 || job->packet.copy.bytes > PIECE_BYTES;
}

void rm_copy_piece(const rm_job_t *job, isa_ring_packet_t *out_piece) {
    *out_piece = job->packet;
    if (job->packet.head.op == ISA_RING_FILL) { // rm's own have one row
        out_piece->fill.dst += job->at;
        out_piece->fill.bytes = least(job->packet.fill.bytes - job->at, PIECE_BYTES);
    } else if (job->packet.head.op == ISA_RING_COPY && is_in_row(job)) {
        out_piece->copy.dst += job->at;
        out_piece->copy.src += job->at;
        out_piece->copy.bytes = least(job->packet.copy.bytes - job->at, PIECE_BYTES);
        out_piece->copy.rows = 1;
    } else if (job->packet.head.op == ISA_RING_COPY) {
        uint64_t n_rows = PIECE_BYTES / (job->packet.copy.bytes + ROW_BYTES);
        out_piece->copy.rows = (uint32_t)least(job->packet.copy.rows, n_rows != 0 ? n_rows : 1);
    }
}

bool rm_copy_has_more(const rm_job_t *job) {
    isa_ring_packet_t piece;
    switch (job->packet.head.op) {
    case ISA_RING_FILL:
        return job->packet.fill.bytes - job->at > PIECE_BYTES;
    case ISA_RING_COPY:
        rm_copy_piece(job, &piece);
        return piece.copy.rows < job->packet.copy.rows ||
               piece.copy.bytes < job->packet.copy.bytes - job->at;
    default:
        return false;
    }
}

void rm_copy_step(rm_job_t *job) {
    isa_ring_packet_t piece, *rest = &job->packet;
    rm_copy_piece(job, &piece);
    if (rest->head.op == ISA_RING_FILL) {
        job->at += piece.fill.bytes;
        return;
    }
    if (is_in_row(job)) {
        job->at += piece.copy.bytes;
        if (job->at < rest->copy.bytes)
            return;
        job->at = 0;
    }
    rest->copy.rows -= piece.copy.rows;
    rest->copy.dst += (uint64_t)piece.copy.rows * rest->copy.dst_pitch;
    rest->copy.src += (uint64_t)piece.copy.rows * rest->copy.src_pitch;
}

uint64_t rm_copy_weight(const isa_ring_packet_t *piece) {
    if (piece->head.op == ISA_RING_FILL)
        return piece->fill.bytes;
    return piece->head.op == ISA_RING_COPY ? (piece->copy.bytes + ROW_BYTES) * piece->copy.rows : 0;
}

// --- Turns ---

static bool is_before(const rm_context_t *a, const rm_context_t *b) {
    if (a->client != b->client)
        return a->client->copy_turn < b->client->copy_turn;
    return a->copy_turn < b->copy_turn;
}

static rm_job_t *first_of_clients(rm_card_t *card) {
    rm_job_t *first = NULL;
    for (list_node_t *node = card->waiting.next; node != &card->waiting; node = node->next) {
        const rm_context_t *context = LIST_OWNER(node, rm_context_t, waiting);
        rm_job_t *job = LIST_OWNER(list_first(&context->queue), rm_job_t, link);
        if (job->node == ISA_NODE_COPY && (first == NULL || is_before(context, first->context)) &&
            rm_sched_readiness(card, job) == RM_READY)
            first = job;
    }
    return first;
}

static rm_job_t *first_of_own(rm_card_t *card) {
    list_node_t *own = list_first(&card->own);
    rm_job_t *job = own != NULL ? LIST_OWNER(own, rm_job_t, link) : NULL;
    return job != NULL && rm_sched_readiness(card, job) == RM_READY ? job : NULL;
}

static bool fits(rm_card_t *card, const rm_job_t *job) {
    const rm_node_t *node = &card->nodes[ISA_NODE_COPY];
    isa_ring_packet_t piece;
    rm_copy_piece(job, &piece);
    return rm_in_flight(node) == 0 || node->weight + rm_copy_weight(&piece) <= RING_BYTES;
}

static void take_turn(rm_card_t *card, const rm_job_t *job) {
    rm_context_t *context = job->context;
    card->own_had_turn = context == NULL && job->packet.head.op == ISA_RING_FILL;
    if (context != NULL)
        context->copy_turn = context->client->copy_turn = ++card->last_copy_turn;
}

rm_job_t *rm_copy_choose(rm_card_t *card) {
    rm_job_t *job = first_of_own(card);
    if (job == NULL || card->own_had_turn) {
        rm_job_t *others = first_of_clients(card);
        if (others != NULL)
            job = others;
    }
    if (job == NULL || !fits(card, job))
        return NULL;
    take_turn(card, job);
    return job;
}
