/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/clock/truth.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NTP_UNIX_S    2208988800ull
#define BRACKET_TRIES 8
#define MEASURE_NS    100000000
#define WALK_INITIAL  4096

uint64_t truth_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull; /* splitmix64 (Steele, Lea, Flood 2014) */

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

double truth_uniform(uint64_t *state)
{
    return ((double)(truth_random(state) >> 11) + 0.5) / 9007199254740992.0;
}

double truth_exponential(uint64_t *state, double mean)
{
    return -mean * log(truth_uniform(state));
}

static double normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(truth_uniform(state)));

    return radius * cos(2 * M_PI * truth_uniform(state));
}

/* --- the file ----------------------------------------------------------------------------------------------- */

static void create_file(const char *path, const struct truth_file *initial)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);

    if (fd < 0 && errno == EEXIST)
        return;
    if (fd < 0 || write(fd, initial, sizeof(*initial)) != sizeof(*initial))
        err(1, "cannot create %s", path);
    close(fd);
}

void truth_open(struct truth *truth, const char *path, const struct truth_file *initial)
{
    bool writable = initial;
    int fd;

    if (initial)
        create_file(path, initial);
    fd = open(path, writable ? O_RDWR : O_RDONLY);
    if (fd < 0)
        err(1, "cannot open %s", path);
    *truth = (struct truth){0};
    truth->file = mmap(NULL, sizeof(*truth->file), writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (truth->file == MAP_FAILED)
        err(1, "cannot map %s", path);
    close(fd);
    if (truth->file->magic != TRUTH_MAGIC)
        errx(1, "%s is not a truth file", path);
    truth->state = truth->file->seed;
}

void truth_step(struct truth *truth, int64_t ns)
{
    uint64_t count = truth->file->step_count;

    if (count == TRUTH_STEPS_MAX)
        errx(1, "too many steps");
    truth->file->steps[count].tsc = truth_tsc();
    truth->file->steps[count].ns = ns;
    __atomic_store_n(&truth->file->step_count, count + 1, __ATOMIC_RELEASE);
}

/* --- the function ------------------------------------------------------------------------------------------- */

static void extend_walk(struct truth *truth, size_t second)
{
    while (truth->count <= second) {
        size_t at = truth->count++;

        if (at == truth->size) {
            truth->size = truth->size ? truth->size * 2 : WALK_INITIAL;
            truth->rate = realloc(truth->rate, truth->size * sizeof(double));
            truth->offset_ns = realloc(truth->offset_ns, truth->size * sizeof(double));
            if (!truth->rate || !truth->offset_ns)
                errx(1, "no memory");
        }
        truth->rate[at] = at ? truth->rate[at - 1] + truth->file->wander * normal(&truth->state) : 0;
        truth->offset_ns[at] = at ? truth->offset_ns[at - 1] + truth->rate[at - 1] * 1e9 : 0;
    }
}

int64_t truth_at(struct truth *truth, uint64_t tsc, double *fraction)
{
    const struct truth_file *file = truth->file;
    long double elapsed = (long double)(int64_t)(tsc - file->tsc0) * (long double)file->ns_per_tick, ns;
    uint64_t steps = __atomic_load_n(&file->step_count, __ATOMIC_ACQUIRE);
    int64_t utc_ns = file->utc0_ns;
    double second = floor((double)elapsed / 1e9);

    ns = elapsed * (1 + (long double)file->skew_ppb * 1e-9L);
    if (second >= 0) {
        extend_walk(truth, (size_t)second);
        ns += (long double)(truth->offset_ns[(size_t)second] +
                            truth->rate[(size_t)second] * (double)(elapsed - (long double)second * 1e9L));
    }
    for (uint64_t i = 0; i < steps; i++) {
        if ((int64_t)(tsc - file->steps[i].tsc) >= 0)
            utc_ns += file->steps[i].ns;
    }
    utc_ns += (int64_t)floorl(ns);
    if (fraction)
        *fraction = (double)(ns - floorl(ns));
    return utc_ns;
}

int64_t truth_ticks(const struct truth *truth, double ns)
{
    return (int64_t)(ns / truth->file->ns_per_tick);
}

/* --- the kernel's clocks ------------------------------------------------------------------------------------ */

static int64_t clock_ns(clockid_t id)
{
    struct timespec time;

    clock_gettime(id, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

double truth_ns_per_tick(void)
{
    int64_t from_ns = clock_ns(CLOCK_MONOTONIC_RAW), to_ns;
    uint64_t from = truth_tsc(), to;

    do {
        usleep(1000);
        to_ns = clock_ns(CLOCK_MONOTONIC_RAW);
        to = truth_tsc();
    } while (to_ns - from_ns < MEASURE_NS);
    return (double)(to_ns - from_ns) / (double)(to - from);
}

struct truth_bracket truth_bracket(void)
{
    struct truth_bracket best = {.width = UINT64_MAX};

    for (int i = 0; i < BRACKET_TRIES; i++) {
        uint64_t before = truth_tsc(), after;
        int64_t now_ns = clock_ns(CLOCK_REALTIME);

        after = truth_tsc();
        if (after - before < best.width)
            best = (struct truth_bracket){before + (after - before) / 2, after - before, now_ns};
    }
    return best;
}

uint64_t truth_stamp_tsc(const struct truth *truth, const struct truth_bracket *bracket, int64_t stamp_ns)
{
    return bracket->tsc + (uint64_t)truth_ticks(truth, (double)(stamp_ns - bracket->realtime_ns));
}

/* --- NTP's format ------------------------------------------------------------------------------------------- */

uint64_t truth_to_ntp(int64_t utc_ns, double fraction)
{
    uint64_t seconds = (uint64_t)(utc_ns / 1000000000) + NTP_UNIX_S;
    long double rest = (long double)(utc_ns % 1000000000) + (long double)fraction;

    return seconds << 32 | (uint64_t)(rest * 4294967296.0L / 1e9L);
}

double truth_ntp_difference_ns(uint64_t a, uint64_t b)
{
    return (double)(int64_t)(a - b) * 1e9 / 4294967296.0;
}
