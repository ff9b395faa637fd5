/* The tasks that wit/archive.wit describes; `umbel build` writes their declarations. What is static
 * here is of one run: each has memory of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"
#include "umbel.h"

/* SHA-256 */
static uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
    0x5be0cd19};
static const uint32_t rounds[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7,
    0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c,
    0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
static uint8_t block[64];
static uint64_t total;

static uint32_t turn(uint32_t word, int by) { return word >> by | word << (32 - by); }

static void add_block(void) {
    uint32_t w[16], s[8];
    memcpy(w, block, sizeof w);
    memcpy(s, state, sizeof s);
    for (int at = 0; at < 64; at++) {
        uint32_t *word = &w[at & 15], a = w[(at + 1) & 15], b = w[(at + 14) & 15];
        if (at < 16) *word = __builtin_bswap32(*word);
        else *word += (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[(at + 9) & 15] + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
        uint32_t one = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6]));
        uint32_t two = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) + ((s[0] & (s[1] ^ s[2])) ^ (s[1] & s[2]));
        one += rounds[at] + *word;
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one;
        s[0] = one + two;
    }
    for (int at = 0; at < 8; at++) state[at] += s[at];
}

static void sha256_add(const uint8_t *data, size_t size) {
    while (size-- > 0) {
        block[total++ % 64] = *data++;
        if (total % 64 == 0) add_block();
    }
}

static void sha256_end(char *digits) {
    uint64_t bits = 8 * total;
    sha256_add((const uint8_t[]){0x80}, 1);
    while (total % 64 != 56) sha256_add((const uint8_t[]){0}, 1);
    for (int at = 56; at >= 0; at -= 8) sha256_add((const uint8_t[]){bits >> at & 255}, 1);
    for (int at = 0; at < 8; at++) sprintf(digits + 8 * at, "%08x", (unsigned)state[at]);
}

/* gzip */
static uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t size) {
    static uint32_t table[256];
    for (uint32_t at = 0; at < 256 && table[255] == 0; at++) {
        table[at] = at;
        for (int bit = 0; bit < 8; bit++) table[at] = table[at] >> 1 ^ (table[at] & 1 ? 0xedb88320 : 0);
    }
    crc = ~crc;
    while (size-- > 0) crc = table[(crc ^ *data++) & 255] ^ crc >> 8;
    return ~crc;
}

enum { HALF = 1 << 15, LONGEST = 257 };
static FILE *out;
static uint64_t held;
static int held_bits;

static void put(uint64_t value, int bits) {
    held |= value << held_bits;
    for (held_bits += bits; held_bits >= 8; held_bits -= 8, held >>= 8) putc(held & 255, out);
}

/* A code of Huffman's begins with its highest bit. */
static void put_code(unsigned code, int bits) {
    while (bits-- > 0) put(code >> bits & 1, 1);
}

static void put_symbol(unsigned symbol) {
    if (symbol < 144) put_code(symbol + 48, 8);
    else if (symbol < 256) put_code(symbol + 256, 9);
    else put_code(symbol < 280 ? symbol - 256 : symbol - 88, symbol < 280 ? 7 : 8);
}

/* Lengths and distances have classes that grow, and what is beyond in plain bits. */
static void put_copy(unsigned length, unsigned distance) {
    int extra = 0;
    for (length -= 3; length >> extra > 7; extra++) continue;
    put_symbol(257 + 4 * extra + (length >> extra));
    put(length & ((1u << extra) - 1), extra);
    for (extra = 0, distance--; distance >> extra > 3; extra++) continue;
    put_code(2 * extra + (distance >> extra), 5);
    put(distance & ((1u << extra) - 1), extra);
}

static bool gzip(FILE *from, FILE *to) {
    static uint8_t window[2 * HALF]; /* what was, then what comes */
    static uint64_t last[HALF];      /* where three bytes that look like these were seen */
    uint64_t read = 0;
    uint32_t crc = 0;
    out = to;
    setvbuf(to, NULL, _IOFBF, 1 << 16); /* a call of the host's for each 64 KiB */
    fwrite("\x1f\x8b\x08\0\0\0\0\0\0\xff", 1, 10, to);
    put(3, 3); /* one block, with fixed codes */
    for (size_t size; (size = fread(window + HALF, 1, HALF, from)) > 0; read += size) {
        crc = crc32_add(crc, window + HALF, size);
        for (size_t at = HALF, ahead = 0; at < HALF + size; at++) {
            const uint8_t *here = window + at;
            size_t left = HALF + size - at, length = 0;
            uint64_t place = read + at, *seen = &last[(here[0] << 10 ^ here[1] << 5 ^ here[2]) & (HALF - 1)];
            uint64_t distance = place - *seen;
            if (*seen > 0 && distance <= HALF && ahead == 0)
                while (length < left && length < LONGEST && here[length] == here[length - distance]) length++;
            if (left >= 3) *seen = place;
            if (length >= 3) put_copy(length, distance), ahead = length;
            if (ahead > 0) ahead--;
            else put_symbol(*here);
        }
        memmove(window, window + size, HALF);
    }
    put_symbol(256);
    put(0, -held_bits & 7);
    put(crc, 32);
    put((uint32_t)read, 32);
    return !ferror(from) && fflush(to) == 0;
}

/* As Python names it, so that callers catch what they always caught. */
static bool failed(umbel_task_types_error_t *err, const char *path) {
    const char *kind = errno == ENOENT ? "FileNotFoundError" : "OSError";
    return umbel_fail(err, kind, "%s: %s", path, strerror(errno));
}

bool exports_example_archive_tasks_digest(plugin_string_t *path, exports_example_archive_tasks_sums_t *ret,
                                          umbel_task_types_error_t *err) {
    static uint8_t data[1 << 16];
    char *name = umbel_cstring(path), digits[65];
    FILE *file = fopen(name, "rb");
    if (file == NULL) return failed(err, name);
    *ret = (exports_example_archive_tasks_sums_t){0};
    for (size_t size; (size = fread(data, 1, sizeof data, file)) > 0; ret->size += size) {
        ret->crc32 = crc32_add(ret->crc32, data, size);
        sha256_add(data, size);
    }
    if (ferror(file)) return failed(err, name);
    sha256_end(digits);
    ret->sha256 = umbel_text("%s", digits);
    return true;
}

bool exports_example_archive_tasks_gzip(plugin_string_t *path, plugin_string_t *ret, umbel_task_types_error_t *err) {
    char *name = umbel_cstring(path), *copy;
    asprintf(&copy, "%s.gz", name);
    FILE *from = fopen(name, "rb"), *to = from == NULL ? NULL : fopen(copy, "wb");
    if (to == NULL || !gzip(from, to)) return failed(err, to == NULL ? name : copy);
    *ret = umbel_text("%s", copy);
    return true;
}
