/* The executor. Sequences within one another are frames of a small stack, not calls, so that a fetch can
 * suspend anywhere. What to_suit_open has checked is not checked again. */
#include <string.h>

#include "to_suit_inner.h"

enum { FRAME_OUTERMOST, FRAME_RUN_SEQUENCE, FRAME_TRY_EACH };

#define STAGES 6u /* of both procedures: three sequences, the shared one before each */
#define STAGE_FAILED 0xFFu

/* How a command ended. */
typedef enum { COMMAND_DONE, COMMAND_SUSPENDED, COMMAND_FAILED, COMMAND_FAILED_SOFTLY } ending;

static to_suit_frame *top(to_suit *suit) { return &suit->frames[suit->depth - 1u]; }

static uint8_t lowest(uint8_t bits) { return (uint8_t)(bits & (0u - bits)); }

static uint8_t index_of(uint8_t bit) {
    uint8_t index = 0;
    while (bit >> index > 1) {
        index++;
    }
    return index;
}

static ending fail(to_suit *suit, to_reason reason) {
    suit->reason = reason;
    return COMMAND_FAILED;
}

/* The frame goes through this sequence next. */
static void enter(to_suit_frame *frame, to_span sequence) {
    to_cbor_reader reader;
    to_cbor_read(&reader, sequence);
    (void)to_cbor_get_array(&reader);
    frame->at = reader.at;
    frame->end = reader.end;
}

/* Goes to the next alternative of a try-each; an empty sequence for null. 0: there is none. */
static int next_alternative(to_suit_frame *frame) {
    to_cbor_reader reader;
    to_span sequence;
    if (frame->alternatives == 0) {
        return 0;
    }
    frame->alternatives--;
    to_cbor_read(&reader,
                 to_span_of(frame->alternative,
                            (uint32_t)(frame->argument.bytes + frame->argument.size - frame->alternative)));
    if (to_cbor_get_null(&reader)) {
        frame->at = frame->end = reader.at;
    } else {
        sequence = to_cbor_get_bytes(&reader);
        enter(frame, sequence);
    }
    frame->alternative = reader.at;
    frame->soft = 1;
    return 1;
}

/* Begins a directive's sequence for the next of its components. */
static void begin_frame(to_suit *suit, to_suit_frame *frame) {
    to_cbor_reader reader;
    frame->current = lowest(frame->loop);
    frame->loop = (uint8_t)(frame->loop & ~frame->current);
    to_cbor_read(&reader, frame->argument);
    if (frame->kind == FRAME_TRY_EACH) {
        frame->alternatives = (uint8_t)to_cbor_get_array(&reader);
        frame->alternative = reader.at;
        (void)next_alternative(frame);
    } else {
        frame->soft = 0;
        enter(frame, to_cbor_get_bytes(&reader));
    }
    suit->selected = frame->current;
}

static ending push(to_suit *suit, uint8_t kind, to_span argument) {
    if (suit->depth == TO_SUIT_DEPTH) {
        return fail(suit, TO_REASON_NESTING);
    }
    to_suit_frame *frame = &suit->frames[suit->depth++];
    frame->kind = kind;
    frame->argument = argument;
    frame->outer = suit->selected;
    frame->loop = suit->selected;
    begin_frame(suit, frame);
    return COMMAND_DONE;
}

/* The sequence on top has come to its end. */
static void leave(to_suit *suit) {
    to_suit_frame *frame = top(suit);
    if (frame->kind != FRAME_OUTERMOST && frame->loop != 0) {
        begin_frame(suit, frame);
    } else {
        suit->selected = frame->outer;
        suit->depth--;
    }
}

/* A condition has failed: goes out to where that does not matter. 0: it does everywhere. */
static int recover(to_suit *suit) {
    while (suit->depth > 0) {
        to_suit_frame *frame = top(suit);
        if (frame->soft && frame->kind == FRAME_TRY_EACH && next_alternative(frame)) {
            suit->selected = frame->current;
            return 1;
        }
        if (frame->soft && frame->kind == FRAME_RUN_SEQUENCE) {
            leave(suit);
            return 1;
        }
        suit->selected = frame->outer;
        suit->depth--;
    }
    return 0;
}

/* For the components in suit->waiting. */
static ending fetch(to_suit *suit) {
    while (suit->waiting != 0) {
        int done;
        uint8_t bit = lowest(suit->waiting);
        suit->waiting = (uint8_t)(suit->waiting & ~bit);
        suit->place.component = index_of(bit);
        to_reason reason = (suit->parameters[suit->place.component].set >> PARAMETER_URI & 1u) == 0
                               ? TO_REASON_PARAMETER_MISSING
                               : to_suit_begin_fetch(suit, suit->place.component, &done);
        if (reason != TO_REASON_OK) {
            return fail(suit, reason);
        }
        if (!done) {
            return COMMAND_SUSPENDED;
        }
    }
    return COMMAND_DONE;
}

static ending override_parameters(to_suit *suit, to_span argument) {
    for (uint32_t i = 0; i < suit->components; i++) {
        if ((suit->selected & 1u << i) != 0) {
            to_cbor_reader reader;
            to_suit_softness soft = {0, 0};
            to_cbor_read(&reader, argument);
            to_suit_read_parameters(&reader, &suit->parameters[i], i, suit->components, &soft);
            if (soft.set) {
                top(suit)->soft = soft.value;
            }
        }
    }
    return COMMAND_DONE;
}

static ending set_component_index(to_suit *suit, to_span argument) {
    to_cbor_reader reader;
    to_cbor_read(&reader, argument);
    suit->selected = to_suit_read_index(&reader, suit->components);
    return COMMAND_DONE;
}

/* A condition or a directive that acts, for each selected component. */
static ending each(to_suit *suit, const to_suit_command *command) {
    for (uint32_t i = 0; i < suit->components; i++) {
        if ((suit->selected & 1u << i) == 0) {
            continue;
        }
        suit->place.component = (uint8_t)i;
        if (command->parameter != 0 && (suit->parameters[i].set >> command->parameter & 1u) == 0) {
            return fail(suit, TO_REASON_PARAMETER_MISSING);
        }
        to_reason reason = to_suit_do(suit, command->number, i);
        if (reason != TO_REASON_OK) {
            (void)fail(suit, reason);
            return command->kind == KIND_CONDITION ? COMMAND_FAILED_SOFTLY : COMMAND_FAILED;
        }
    }
    return COMMAND_DONE;
}

/* The next command of the sequence on top. */
static ending step(to_suit *suit) {
    to_suit_frame *frame = top(suit);
    to_cbor_reader reader;
    suit->place.offset = (uint16_t)(frame->at - suit->section);
    to_cbor_read(&reader, to_span_of(frame->at, (uint32_t)(frame->end - frame->at)));
    const to_suit_command *command = to_suit_find_command(to_cbor_get_int(&reader));
    to_span argument = to_cbor_skip(&reader);
    if (command == NULL) {
        return fail(suit, TO_REASON_COMMAND_UNKNOWN);
    }
    frame->at = reader.at;
    switch (command->number) {
    case DIRECTIVE_SET_COMPONENT_INDEX:
        return set_component_index(suit, argument);
    case DIRECTIVE_OVERRIDE_PARAMETERS:
        return override_parameters(suit, argument);
    case DIRECTIVE_TRY_EACH:
        return push(suit, FRAME_TRY_EACH, argument);
    case DIRECTIVE_RUN_SEQUENCE:
        return push(suit, FRAME_RUN_SEQUENCE, argument);
    case DIRECTIVE_FETCH:
        suit->waiting = suit->selected;
        return fetch(suit);
    default:
        return each(suit, command);
    }
}

/* Begins the next sequence of the procedure, the shared one before each. 0: there is none. */
static int next_sequence(to_suit *suit) {
    static const uint8_t order[2][STAGES / 2u] = {{TO_SUIT_PAYLOAD_FETCH, TO_SUIT_INSTALL, TO_SUIT_VALIDATE},
                                                  {TO_SUIT_VALIDATE, TO_SUIT_LOAD, TO_SUIT_INVOCATION}};
    static const uint8_t keys[TO_SUIT_SEQUENCES] = {MANIFEST_COMMON,        MANIFEST_VALIDATE,
                                                    MANIFEST_LOAD,          MANIFEST_INVOKE,
                                                    MANIFEST_PAYLOAD_FETCH, MANIFEST_INSTALL};
    while (suit->stage < STAGES) {
        uint8_t member = order[suit->procedure == TO_SUIT_INVOKE][suit->stage / 2u];
        uint8_t which = suit->stage % 2u ? member : (uint8_t)TO_SUIT_SHARED;
        suit->stage++;
        if (suit->sequences[member].bytes != NULL && suit->sequences[which].bytes != NULL) {
            to_suit_frame *frame = &suit->frames[suit->depth++];
            memset(frame, 0, sizeof *frame);
            enter(frame, suit->sequences[which]);
            suit->section = suit->sequences[which].bytes;
            suit->place.section = keys[which];
            suit->selected = 1;
            return 1;
        }
    }
    return 0;
}

static to_suit_step failed(to_suit *suit) {
    suit->depth = 0;
    suit->stage = STAGE_FAILED;
    return TO_SUIT_FAILED;
}

static to_suit_step finish(to_suit *suit) {
    if (suit->procedure == TO_SUIT_UPDATE && suit->unverified != 0) {
        suit->reason = TO_REASON_IMAGE_DIGEST;
        suit->place.component = index_of(lowest(suit->unverified));
        return failed(suit);
    }
    suit->reason = TO_REASON_OK;
    return TO_SUIT_DONE;
}

static to_suit_step go_on(to_suit *suit, ending result) {
    for (;;) {
        if (result == COMMAND_SUSPENDED) {
            return TO_SUIT_FETCH;
        }
        if (result == COMMAND_FAILED || (result == COMMAND_FAILED_SOFTLY && !recover(suit))) {
            return failed(suit);
        }
        result = COMMAND_DONE;
        if (suit->depth == 0) {
            if (!next_sequence(suit)) {
                return finish(suit);
            }
        } else if (top(suit)->at == top(suit)->end) {
            leave(suit);
        } else {
            result = step(suit);
        }
    }
}

void to_suit_start(to_suit *suit, to_suit_procedure procedure) {
    memset(suit->parameters, 0, sizeof suit->parameters);
    memset(&suit->place, 0, sizeof suit->place);
    memset(&suit->fetch, 0, sizeof suit->fetch);
    suit->procedure = procedure;
    suit->stage = 0;
    suit->depth = 0;
    suit->waiting = 0;
    suit->unverified = 0;
    suit->contents = 0;
    suit->reason = TO_REASON_OK;
}

to_suit_step to_suit_run(to_suit *suit) {
    return suit->stage == STAGE_FAILED ? TO_SUIT_FAILED : go_on(suit, COMMAND_DONE);
}

to_suit_step to_suit_fetched(to_suit *suit, to_reason reason) {
    if (suit->stage == STAGE_FAILED || suit->fetch.uri.bytes == NULL) {
        return TO_SUIT_FAILED;
    }
    reason = to_suit_end_fetch(suit, reason);
    return go_on(suit, reason == TO_REASON_OK ? fetch(suit) : fail(suit, reason));
}
