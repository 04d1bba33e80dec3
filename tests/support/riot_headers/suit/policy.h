/* What RIOT's sys/suit must have checked of a manifest. */
#ifndef SUIT_POLICY_H
#define SUIT_POLICY_H

#define SUIT_VALIDATED_VERSION 2
#define SUIT_VALIDATED_SEQ_NR 4
#define SUIT_VALIDATED_VENDOR 8
#define SUIT_VALIDATED_CLASS 16
#define SUIT_DEFAULT_POLICY                                                                                  \
    (SUIT_VALIDATED_VERSION | SUIT_VALIDATED_SEQ_NR | SUIT_VALIDATED_VENDOR | SUIT_VALIDATED_CLASS)

#endif
