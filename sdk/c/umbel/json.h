/* JSON as text, for parameters and results of WIT's type `json`: enough to write any value, and to
 * find one in an object. Knows nothing of WebAssembly, so that tests can be run natively. */
#ifndef UMBEL_JSON_H
#define UMBEL_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* A text that grows. Begin with {0}; `text` is ended by NUL, and to be freed. */
struct umbel_json {
    char *text;
    size_t length, room;
};

/* Adds punctuation, keys and numbers as they are: umbel_json_add(&json, "{\"count\": %d", count). */
void umbel_json_add(struct umbel_json *json, const char *format, ...);

/* Adds a text in quotes, everything escaped that has to be. */
void umbel_json_quote(struct umbel_json *json, const char *text, size_t length);

/* The value of a key of the object that begins at `json`; NULL: there is none. */
const char *umbel_json_find(const char *json, const char *key);

/* The number at `value`. False: there is something else. */
bool umbel_json_number(const char *value, double *number);

/* The text at `value`, unescaped and ended by NUL; to be freed. NULL: there is something else. */
char *umbel_json_string(const char *value);

#endif
