/* Explores power cuts: the device's own journal and banks on a flash that tears what a cut interrupts.
 *
 *   powercut [--scenarios N] [--seed S] [--shard I COUNT] [--until-failure] [--case C [--exhaustive]]
 *
 * A scenario is a whole life: an installed model, an update (good or bad in one of several ways) that is cut,
 * a recovery that may be cut again, and one more good update. Cases go through the matrix of erase units,
 * write units and erased values; everything else about a case follows from its number and the seed, so
 * `--seed S --case C` repeats one. --exhaustive does every first cut with every kind of tear, and with each
 * every second cut. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "tinyops/to_sha256.h"

#define FIRST_CUTS 60u
#define SECOND_CUTS 4u
#define FAILURES_SHOWN 20u

typedef struct {
    uint64_t seed;
    uint64_t number;
    plan plan;
    world start; /* before the update under test */
    flash_file base, first, work;
    uint8_t *images;
} test_case;

typedef struct {
    flash_cut cut;
    flash_torn torn;
    uint64_t at;
    uint64_t seed;
} power_cut;

static const power_cut never = {FLASH_CUT_NEVER, FLASH_TORN_ANY, 0, 0};

typedef struct {
    uint64_t scenarios;
    uint64_t failures;
} tally;

static uint32_t below(uint64_t *random, uint32_t limit) {
    return (uint32_t)((flash_file_random(random) >> 32) % limit);
}

/* Cuts that tear are the ones that matter most. */
static power_cut any_cut(uint64_t *random, uint64_t at) {
    uint32_t way = below(random, 6);
    power_cut cut = {way == 0   ? FLASH_CUT_BEFORE
                     : way == 1 ? FLASH_CUT_AFTER
                                : FLASH_CUT_TORN,
                     (flash_torn)below(random, FLASH_TORN_KINDS), at, flash_file_random(random)};
    return cut;
}

static uint64_t mixed(uint64_t a, uint64_t b) {
    uint64_t state = a * UINT64_C(0xD1342543DE82EF95) + b * UINT64_C(0xAF251AF3B0F025B5) + 1u;
    (void)flash_file_random(&state);
    return flash_file_random(&state);
}

static plan make_plan(uint64_t number, uint64_t *random) {
    static const uint32_t erase_sizes[] = {64, 128, 256, 512, 1024, 2048, 4096, 16384, 131072};
    static const uint16_t write_sizes[] = {1, 4, 8, 16, 32};
    plan p;
    memset(&p, 0, sizeof p);
    p.write_bytes = write_sizes[number % 5];
    p.erased = number / 5 % 2 != 0 ? 0x00 : 0xFF;
    p.erase_bytes = erase_sizes[number / 10 % 9];
    to_flash flash;
    memset(&flash, 0, sizeof flash);
    flash.write_bytes = p.write_bytes;
    uint32_t least = to_journal_slot_bytes(&flash) * (1u + below(random, 5));
    p.page_bytes = (least + p.erase_bytes - 1u) / p.erase_bytes * p.erase_bytes;
    uint32_t units = p.erase_bytes >= 4096 ? 1u + below(random, 2) : 1u + below(random, 6);
    p.bank_bytes = units * p.erase_bytes;
    uint32_t largest = p.bank_bytes < 700 ? p.bank_bytes : 700;
    if (p.write_bytes >= 16 && below(random, 4) == 0) {
        largest = p.bank_bytes < 6000 ? p.bank_bytes : 6000;
    }
    for (uint32_t v = OLD; v < VERSIONS; v++) {
        p.image_bytes[v] = below(random, 8) == 0 ? largest : 1u + below(random, largest);
    }
    p.chunk_bytes = 1u + below(random, below(random, 2) == 0 ? 40 : 256);
    p.fill = below(random, 8);
    p.start = below(random, 4) == 0 ? FACTORY : OLD;
    p.kind = (image_kind)below(random, IMAGE_KINDS);
    p.revoke = (revoke_time)below(random, REVOKE_TIMES);
    return p;
}

/* Bytes with runs of the erased value, also at the ends and over whole erase units, and of zeros. */
static void fill_image(uint8_t *image, uint32_t size, uint8_t erased, uint64_t *random) {
    for (uint32_t i = 0; i < size;) {
        uint32_t run = 1u + below(random, below(random, 2) == 0 ? 8 : 200);
        uint32_t kind = below(random, 4);
        for (; run > 0 && i < size; run--, i++) {
            image[i] = kind == 0 ? erased : kind == 1 ? 0 : (uint8_t)below(random, 256);
        }
    }
    image[below(random, size)] ^= (uint8_t)(1u + below(random, 255));
}

static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) {
        (void)fprintf(stderr, "powercut: no memory\n");
        exit(2);
    }
    return memory;
}

static void open_flash(flash_file *file, const plan *p) {
    char error[200];
    uint32_t bytes = 2u * (p->page_bytes + p->bank_bytes);
    if (flash_file_open(file, NULL, bytes, p->erase_bytes, p->write_bytes, p->erased, error, sizeof error) !=
        0) {
        (void)fprintf(stderr, "powercut: %s\n", error);
        exit(2);
    }
}

/* Distinct images are what the invariants tell versions by: none may be the start of another. */
static int make_images(test_case *c, uint64_t *random) {
    const plan *p = &c->plan;
    uint32_t total = p->image_bytes[OLD] + p->image_bytes[NEW] + p->image_bytes[NEXT];
    uint8_t *at = c->images = allocate(total);
    for (uint32_t v = OLD; v < VERSIONS; v++) {
        fill_image(at, p->image_bytes[v], p->erased, random);
        c->start.images[v] = at;
        to_sha256_of(at, p->image_bytes[v], c->start.digests[v]);
        for (uint32_t u = OLD; u < v; u++) {
            uint32_t shorter = p->image_bytes[u] < p->image_bytes[v] ? p->image_bytes[u] : p->image_bytes[v];
            if (memcmp(c->start.images[u], at, shorter) == 0) {
                return 0;
            }
        }
        at += p->image_bytes[v];
    }
    return 1;
}

static void report(const test_case *c, const char *failure, const power_cut cuts[3]) {
    static const char *const words[] = {"no", "before", "torn in", "after"};
    const plan *p = &c->plan;
    (void)printf("FAILED --seed %llu --case %llu: %s\n", (unsigned long long)c->seed,
                 (unsigned long long)c->number, failure);
    (void)printf("  erase %u, write %u, erased 0x%02x, page %u, bank %u, images %u %u %u, chunk %u, fill %u, "
                 "start %u, "
                 "kind %d, revoke %d; cuts:",
                 (unsigned)p->erase_bytes, (unsigned)p->write_bytes, (unsigned)p->erased,
                 (unsigned)p->page_bytes, (unsigned)p->bank_bytes, (unsigned)p->image_bytes[OLD],
                 (unsigned)p->image_bytes[NEW], (unsigned)p->image_bytes[NEXT], (unsigned)p->chunk_bytes,
                 (unsigned)p->fill, (unsigned)p->start, (int)p->kind, (int)p->revoke);
    for (int i = 0; i < 3; i++) {
        (void)printf(" %s %llu (tear %d)", words[cuts[i].cut], (unsigned long long)cuts[i].at,
                     (int)cuts[i].torn);
    }
    (void)printf("\n");
}

static void cut_power(world *w, const power_cut *cut, uint8_t target, uint32_t fill) {
    flash_file_cut(w->flash, cut->cut, cut->at, cut->torn, cut->seed);
    world_run(w, target, fill);
    flash_file_power_on(w->flash);
}

/* From the state of `w`: the update ends as it must without a further cut, and one more succeeds. Returns the
 * flash operations of the first part. */
static uint64_t live_on(test_case *c, world *w, uint32_t fill, power_cut cuts[3], uint64_t *random,
                        tally *total) {
    world_run(w, NEW, fill);
    uint64_t operations = w->flash->operations;
    world_check_rest(w, NEW, c->plan.kind);
    cuts[2] = any_cut(random, 1u + below(random, 200));
    if (below(random, 2) == 0) {
        cut_power(w, &cuts[2], NEXT, 0);
    } else {
        cuts[2] = never;
    }
    world_run(w, NEXT, 0);
    world_check_rest(w, NEXT, IMAGE_GOOD);
    total->scenarios++;
    if (w->failure != NULL && total->failures++ < FAILURES_SHOWN) {
        report(c, w->failure, cuts);
    }
    return operations;
}

static void second_cuts(test_case *c, const world *recovering, uint64_t operations, power_cut cuts[3],
                        uint64_t *random, int exhaustive, tally *total) {
    uint64_t count = exhaustive ? 3u * operations : operations < SECOND_CUTS ? operations : SECOND_CUTS;
    for (uint64_t i = 0; i < count; i++) {
        cuts[1] = any_cut(random, exhaustive ? 1u + i / 3u : 1u + flash_file_random(random) % operations);
        if (exhaustive) {
            cuts[1].cut = (flash_cut)(1u + i % 3u);
        }
        world w = *recovering;
        flash_file_copy(&c->work, &c->first);
        w.flash = &c->work;
        cut_power(&w, &cuts[1], NEW, 0);
        (void)live_on(c, &w, 0, cuts, random, total);
    }
}

static void one_first_cut(test_case *c, const power_cut *first, uint64_t *random, int exhaustive,
                          tally *total) {
    power_cut cuts[3] = {*first, never, never};
    world w = c->start;
    flash_file_copy(&c->first, &c->base);
    w.flash = &c->first;
    cut_power(&w, first, NEW, c->plan.fill);
    world once = w;
    flash_file_copy(&c->work, &c->first);
    once.flash = &c->work;
    uint64_t operations = live_on(c, &once, 0, cuts, random, total);
    if (operations > 0) {
        second_cuts(c, &w, operations, cuts, random, exhaustive, total);
    }
}

static void all_cuts(test_case *c, uint64_t *random, int exhaustive, tally *total) {
    power_cut cuts[3] = {never, never, never};
    world w = c->start;
    flash_file_copy(&c->work, &c->base);
    w.flash = &c->work;
    uint64_t operations = live_on(c, &w, c->plan.fill, cuts, random, total);
    if (operations == 0) {
        return; /* broken without any cut */
    }
    uint64_t ways = FLASH_TORN_KINDS + 2u;
    uint64_t count = exhaustive ? ways * operations : FIRST_CUTS;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t spread = 1u + (i * operations + below(random, (uint32_t)operations)) / FIRST_CUTS;
        uint64_t way = exhaustive ? i % ways : below(random, (uint32_t)ways);
        power_cut first = any_cut(random, exhaustive ? 1u + i / ways : spread);
        if (way < FLASH_TORN_KINDS) {
            first.cut = FLASH_CUT_TORN;
            first.torn = (flash_torn)way;
        } else {
            first.cut = way == FLASH_TORN_KINDS ? FLASH_CUT_BEFORE : FLASH_CUT_AFTER;
        }
        one_first_cut(c, &first, random, exhaustive, total);
    }
}

static void run_case(uint64_t seed, uint64_t number, int exhaustive, tally *total) {
    test_case c;
    memset(&c, 0, sizeof c);
    c.seed = seed;
    c.number = number;
    uint64_t random = mixed(seed, number);
    c.plan = make_plan(number, &random);
    c.start.plan = &c.plan;
    while (!make_images(&c, &random)) {
        free(c.images);
        for (uint32_t v = OLD; v < VERSIONS; v++) { /* one byte may be too few to tell them apart */
            c.plan.image_bytes[v] = c.plan.image_bytes[v] < 2 ? 2 : c.plan.image_bytes[v];
        }
    }
    open_flash(&c.base, &c.plan);
    open_flash(&c.first, &c.plan);
    open_flash(&c.work, &c.plan);
    c.start.flash = &c.base;
    if (c.plan.start == OLD) {
        world_run(&c.start, OLD, 0);
    }
    all_cuts(&c, &random, exhaustive, total);
    flash_file_close(&c.base);
    flash_file_close(&c.first);
    flash_file_close(&c.work);
    free(c.images);
}

static uint64_t number_of(const char *text) {
    char *end;
    unsigned long long value = text != NULL ? strtoull(text, &end, 10) : 0;
    if (text == NULL || *text < '0' || *text > '9' || *end != '\0') {
        (void)fprintf(stderr, "powercut: not a number: %s\n", text != NULL ? text : "(nothing)");
        exit(2);
    }
    return value;
}

static const char *next_argument(char **arguments, int count, int *at) {
    return ++*at < count ? arguments[*at] : NULL;
}

int main(int count, char **arguments) {
    uint64_t scenarios = 50000, seed = 1, only = 0, shard = 0, shards = 1;
    int exhaustive = 0, one_case = 0, until_failure = 0;
    tally total = {0, 0};
    for (int i = 1; i < count; i++) {
        const char *name = arguments[i];
        if (strcmp(name, "--exhaustive") == 0) {
            exhaustive = 1;
        } else if (strcmp(name, "--until-failure") == 0) {
            until_failure = 1;
        } else if (strcmp(name, "--scenarios") == 0) {
            scenarios = number_of(next_argument(arguments, count, &i));
        } else if (strcmp(name, "--seed") == 0) {
            seed = number_of(next_argument(arguments, count, &i));
        } else if (strcmp(name, "--case") == 0) {
            only = number_of(next_argument(arguments, count, &i));
            one_case = 1;
        } else if (strcmp(name, "--shard") == 0) {
            shard = number_of(next_argument(arguments, count, &i));
            shards = number_of(next_argument(arguments, count, &i));
        } else {
            (void)fprintf(stderr,
                          "usage: powercut [--scenarios N] [--seed S] [--shard I COUNT] [--until-failure] "
                          "[--case C [--exhaustive]]\n");
            return 2;
        }
    }
    if (one_case) {
        run_case(seed, only, exhaustive, &total);
    } else {
        for (uint64_t number = shard; total.scenarios < scenarios && shards > 0; number += shards) {
            run_case(seed, number, exhaustive, &total);
            if (until_failure && total.failures > 0) {
                break;
            }
        }
    }
    (void)printf("%llu scenarios, %llu failures\n", (unsigned long long)total.scenarios,
                 (unsigned long long)total.failures);
    return total.failures != 0;
}
