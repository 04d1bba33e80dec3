/* RIOT's functions that are called at the start: here the section auto_init has them. As in RIOT, their names
 * must differ in the whole program. */
#ifndef AUTO_INIT_UTILS_H
#define AUTO_INIT_UTILS_H

#define AUTO_INIT(function, priority)                                                                        \
    void (*const auto_init_xfa_##function)(void) __attribute__((used, section("auto_init"))) = function

#endif
