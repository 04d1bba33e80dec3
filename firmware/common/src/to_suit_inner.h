/* Numbers of the SUIT manifest, for the files to_suit*.c alone. The same table is in
 * tinyops/suit/registry.py. */
#ifndef TINYOPS_TO_SUIT_INNER_H
#define TINYOPS_TO_SUIT_INNER_H

#include "tinyops/to_suit.h"

enum { TO_SUIT_TAG = 107, TO_SUIT_VERSION = 1, TO_SUIT_SHA_256 = -16 };

/* Members of the envelope and of the manifest. */
enum {
    ENVELOPE_AUTHENTICATION = 2,
    ENVELOPE_MANIFEST = 3,
    MANIFEST_VERSION = 1,
    MANIFEST_SEQUENCE = 2,
    MANIFEST_COMMON = 3,
    MANIFEST_REFERENCE_URI = 4,
    MANIFEST_COMPONENT_ID = 5,
    MANIFEST_SET_VERSION = 6,
    MANIFEST_VALIDATE = 7,
    MANIFEST_LOAD = 8,
    MANIFEST_INVOKE = 9,
    MANIFEST_COSWID = 14,
    MANIFEST_PAYLOAD_FETCH = 16,
    MANIFEST_INSTALL = 20,
    MANIFEST_TEXT = 23,
    COMMON_COMPONENTS = 2,
    COMMON_SHARED_SEQUENCE = 4
};

enum {
    CONDITION_VENDOR = 1,
    CONDITION_CLASS = 2,
    CONDITION_IMAGE_MATCH = 3,
    CONDITION_USE_BEFORE = 4,
    CONDITION_SLOT = 5,
    CONDITION_CHECK_CONTENT = 6,
    DIRECTIVE_SET_COMPONENT_INDEX = 12,
    CONDITION_ABORT = 14,
    DIRECTIVE_TRY_EACH = 15,
    DIRECTIVE_WRITE = 18,
    DIRECTIVE_OVERRIDE_PARAMETERS = 20,
    DIRECTIVE_FETCH = 21,
    DIRECTIVE_COPY = 22,
    DIRECTIVE_INVOKE = 23,
    CONDITION_DEVICE = 24,
    CONDITION_IMAGE_NOT_MATCH = 25,
    CONDITION_MINIMUM_BATTERY = 26,
    CONDITION_AUTHORIZED = 27,
    CONDITION_COMPONENT_VERSION = 28,
    DIRECTIVE_SWAP = 31,
    DIRECTIVE_RUN_SEQUENCE = 32
};

/* Parameters; each is a bit of to_suit_parameters.set. */
enum {
    PARAMETER_VENDOR = 1,
    PARAMETER_CLASS = 2,
    PARAMETER_DIGEST = 3,
    PARAMETER_USE_BEFORE = 4,
    PARAMETER_SLOT = 5,
    PARAMETER_STRICT_ORDER = 12,
    PARAMETER_SOFT_FAILURE = 13,
    PARAMETER_SIZE = 14,
    PARAMETER_CONTENT = 18,
    PARAMETER_ENCRYPTION_INFO = 19,
    PARAMETER_URI = 21,
    PARAMETER_SOURCE = 22,
    PARAMETER_INVOKE_ARGS = 23,
    PARAMETER_DEVICE = 24,
    PARAMETER_BATTERY = 26,
    PARAMETER_PRIORITY = 27,
    PARAMETER_COMPONENT_VERSION = 28
};

#define TO_SUIT_REPORTING_MAX 15u /* all four bits of a reporting policy */

/* What a command is. */
typedef struct {
    uint8_t number;
    uint8_t parameter; /* that it needs; 0: none */
    uint8_t kind;
} to_suit_command;

enum { KIND_CONDITION, KIND_CONTROL, KIND_ACTION };

/* NULL for commands that are not known. */
const to_suit_command *to_suit_find_command(int32_t number);

/* SUIT_Digest: [-16, 32 bytes]; the bytes, or NULL with `*reason`. */
const uint8_t *to_suit_read_digest(to_span encoded, to_reason *reason);

/* The argument of set-component-index as bits, with `count` components. */
uint8_t to_suit_read_index(to_cbor_reader *reader, uint32_t count);

/* Whether soft-failure was among the parameters, and its value. */
typedef struct {
    uint8_t set;
    uint8_t value;
} to_suit_softness;

/* Reads a parameter map into the parameters of the manifest's component. Errors go to the reader. */
void to_suit_read_parameters(to_cbor_reader *reader, to_suit_parameters *parameters, uint32_t component,
                             uint32_t components, to_suit_softness *soft);

/* The bits of a version match: comparison and numbers. */
#define TO_SUIT_VERSION_NUMBERS 8u
typedef struct {
    int32_t comparison; /* 1 greater, 2 greater or equal, 3 equal, 4 lesser or equal, 5 lesser */
    uint32_t count;
    int32_t numbers[TO_SUIT_VERSION_NUMBERS];
} to_suit_version_match;

/* Whether this is the content of set-version. */
int to_suit_is_version(to_span encoded);

int to_suit_read_version(to_span encoded, to_suit_version_match *match);

/* Checks every command sequence of the manifest, in the order of both procedures. */
to_reason to_suit_check_sequences(to_suit *suit);

/* Conditions, and directives other than control flow and fetch, for one component of the manifest. */
to_reason to_suit_do(to_suit *suit, uint32_t command, uint32_t component);

/* Begins a fetch: TO_REASON_OK; `*done` is 1 when the payload was in the envelope. */
to_reason to_suit_begin_fetch(to_suit *suit, uint32_t component, int *done);
to_reason to_suit_end_fetch(to_suit *suit, to_reason reason);

#endif
