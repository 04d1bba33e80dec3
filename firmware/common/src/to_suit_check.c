/* Validation of all command sequences, before anything runs: known commands and parameters, well-formed
 * arguments, bounded nesting, parameters that are set somewhere before they are needed, identity before
 * action. */
#include <string.h>

#include "to_suit_inner.h"

typedef struct {
    uint32_t components;
    uint32_t set[TO_SUIT_COMPONENTS]; /* parameters that may be set, as bits */
    uint8_t selected;
    uint8_t checked[2]; /* components whose vendor, whose class was checked, as bits */
    uint8_t shared;     /* the shared sequence, in which nothing acts */
} state;

static to_reason check_sequence(state *s, to_span sequence, uint32_t depth);

static to_reason check_override(state *s, to_cbor_reader *reader, uint32_t depth) {
    to_cbor_reader start = *reader;
    for (uint32_t i = 0; i < s->components; i++) {
        if ((s->selected & 1u << i) != 0) {
            to_suit_parameters read;
            to_suit_softness soft = {0, 0};
            *reader = start;
            read.set = 0;
            to_suit_read_parameters(reader, &read, i, s->components, &soft);
            s->set[i] |= read.set;
            if (soft.set && depth == 1u) {
                to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
            }
        }
    }
    return reader->error;
}

/* A sequence that a directive runs for each selected component in turn. */
static to_reason check_nested(state *s, to_span sequence, uint32_t depth) {
    uint8_t outer = s->selected;
    to_reason reason = check_sequence(s, sequence, depth + 1u);
    s->selected = outer;
    return reason;
}

static to_reason check_try_each(state *s, to_cbor_reader *reader, uint32_t depth) {
    uint32_t count = to_cbor_get_array(reader);
    if (count > TO_SUIT_TRIES + 1u) {
        return TO_REASON_NESTING;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && i == count - 1u && to_cbor_get_null(reader)) {
            break;
        }
        to_span sequence = to_cbor_get_bytes(reader);
        to_reason reason = reader->error;
        if (reason == TO_REASON_OK) {
            reason = check_nested(s, sequence, depth);
        }
        if (reason != TO_REASON_OK) {
            return reason;
        }
    }
    return count < 2u ? TO_REASON_MALFORMED_CBOR : reader->error;
}

static to_reason check_control(state *s, int32_t command, to_cbor_reader *reader, uint32_t depth) {
    switch (command) {
    case DIRECTIVE_SET_COMPONENT_INDEX:
        s->selected = to_suit_read_index(reader, s->components);
        return reader->error;
    case DIRECTIVE_OVERRIDE_PARAMETERS:
        return check_override(s, reader, depth);
    case DIRECTIVE_TRY_EACH:
        return check_try_each(s, reader, depth);
    default: {
        to_span sequence = to_cbor_get_bytes(reader);
        return reader->error == TO_REASON_OK ? check_nested(s, sequence, depth) : reader->error;
    }
    }
}

static to_reason check_parameter(const state *s, uint8_t parameter) {
    for (uint32_t i = 0; i < s->components; i++) {
        if (parameter != 0 && (s->selected & 1u << i) != 0 && (s->set[i] >> parameter & 1u) == 0) {
            return TO_REASON_PARAMETER_MISSING;
        }
    }
    return TO_REASON_OK;
}

static to_reason check_command(state *s, to_cbor_reader *reader, uint32_t depth) {
    int32_t number = to_cbor_get_int(reader);
    const to_suit_command *command = to_suit_find_command(number);
    if (reader->error != TO_REASON_OK) {
        return reader->error;
    }
    if (command == NULL || (s->shared && command->kind == KIND_ACTION)) {
        return TO_REASON_COMMAND_UNKNOWN;
    }
    if (command->kind == KIND_CONTROL) {
        return check_control(s, number, reader, depth);
    }
    if (to_cbor_get_uint(reader) > TO_SUIT_REPORTING_MAX) {
        to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
    }
    if (reader->error != TO_REASON_OK) {
        return reader->error;
    }
    if (command->kind == KIND_ACTION && (s->selected & ~(s->checked[0] & s->checked[1])) != 0) {
        return TO_REASON_IDENTITY_UNCHECKED;
    }
    if (depth == 1u && (number == CONDITION_VENDOR || number == CONDITION_CLASS)) {
        s->checked[number == CONDITION_CLASS] |= s->selected;
    }
    return check_parameter(s, command->parameter);
}

static to_reason check_sequence(state *s, to_span sequence, uint32_t depth) {
    to_cbor_reader reader;
    if (depth > TO_SUIT_DEPTH) {
        return TO_REASON_NESTING;
    }
    to_cbor_read(&reader, sequence);
    uint32_t items = to_cbor_get_array(&reader);
    if (reader.error == TO_REASON_OK && (items == 0 || items % 2u != 0)) {
        return TO_REASON_MALFORMED_CBOR;
    }
    /* Where there is a choice of components, it comes first. */
    if (reader.error == TO_REASON_OK && depth == 1u && s->components > 1u &&
        *reader.at != DIRECTIVE_SET_COMPONENT_INDEX) {
        return TO_REASON_PARAMETER_MISSING;
    }
    for (; items > 0 && reader.error == TO_REASON_OK; items -= 2u) {
        to_reason reason = check_command(s, &reader, depth);
        if (reason != TO_REASON_OK) {
            return reason;
        }
    }
    return to_cbor_done(&reader);
}

static to_reason check_member(state *s, const to_suit *suit, uint32_t member) {
    s->selected = 1;
    return suit->sequences[member].bytes == NULL ? TO_REASON_OK
                                                 : check_sequence(s, suit->sequences[member], 1);
}

/* The shared sequence, and `count` members in the order of a procedure. */
static to_reason check_procedure(const to_suit *suit, const uint8_t *members, uint32_t count) {
    state s;
    memset(&s, 0, sizeof s);
    s.components = suit->components;
    s.shared = 1;
    to_reason reason = check_member(&s, suit, TO_SUIT_SHARED);
    uint8_t checked[2];
    memcpy(checked, s.checked, sizeof checked);
    s.shared = 0;
    for (uint32_t i = 0; i < count && reason == TO_REASON_OK; i++) {
        memcpy(s.checked, checked, sizeof checked);
        reason = check_member(&s, suit, members[i]);
    }
    return reason;
}

to_reason to_suit_check_sequences(to_suit *suit) {
    static const uint8_t update[] = {TO_SUIT_PAYLOAD_FETCH, TO_SUIT_INSTALL, TO_SUIT_VALIDATE};
    static const uint8_t invoke[] = {TO_SUIT_VALIDATE, TO_SUIT_LOAD, TO_SUIT_INVOCATION};
    to_reason reason = check_procedure(suit, update, sizeof update);
    return reason != TO_REASON_OK ? reason : check_procedure(suit, invoke, sizeof invoke);
}
