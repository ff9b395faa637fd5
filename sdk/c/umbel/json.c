#include "json.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct umbel_json *json, size_t more) {
    if (json->length + more + 1 <= json->room) return;
    json->room = 2 * (json->length + more + 1);
    json->text = realloc(json->text, json->room);
    if (json->text == NULL) abort();
}

void umbel_json_add(struct umbel_json *json, const char *format, ...) {
    va_list values, again;
    va_start(values, format);
    va_copy(again, values);
    int length = vsnprintf(NULL, 0, format, values);
    if (length >= 0) {
        reserve(json, (size_t)length);
        vsnprintf(json->text + json->length, (size_t)length + 1, format, again);
        json->length += (size_t)length;
    }
    va_end(again);
    va_end(values);
}

void umbel_json_quote(struct umbel_json *json, const char *text, size_t length) {
    umbel_json_add(json, "\"");
    for (size_t at = 0; at < length; at++) {
        unsigned char letter = (unsigned char)text[at];
        if (letter == '"' || letter == '\\')
            umbel_json_add(json, "\\%c", letter);
        else if (letter < 0x20)
            umbel_json_add(json, "\\u%04x", letter);
        else
            umbel_json_add(json, "%c", letter);
    }
    umbel_json_add(json, "\"");
}

static const char *space(const char *at) {
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') at++;
    return at;
}

/* The quote that ends a text, or the end of everything if there is none. */
static const char *closing_quote(const char *at) {
    for (at++; *at != '\0' && *at != '"'; at++)
        if (*at == '\\' && at[1] != '\0') at++;
    return at;
}

static const char *past_string(const char *at) {
    at = closing_quote(at);
    return *at == '"' ? at + 1 : at;
}

/* What follows a value of any shape. */
static const char *past_value(const char *at) {
    int depth = 0;
    do {
        if (*at == '"') {
            at = past_string(at);
            continue;
        }
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') depth--;
        if (depth < 0 || *at == '\0') break;
        at++;
    } while (depth > 0 || (*at != ',' && *at != '}' && *at != ']' && *at != '\0'));
    return at;
}

const char *umbel_json_find(const char *json, const char *key) {
    const char *at = space(json);
    if (*at != '{') return NULL;
    for (at = space(at + 1); *at == '"'; at = space(at + 1)) {
        char *name = umbel_json_string(at);
        bool found = name != NULL && strcmp(name, key) == 0;
        free(name);
        at = space(past_string(at));
        if (*at != ':') return NULL;
        at = space(at + 1);
        if (found) return at;
        at = space(past_value(at));
        if (*at != ',') return NULL;
    }
    return NULL;
}

bool umbel_json_number(const char *value, double *number) {
    if (*value != '-' && (*value < '0' || *value > '9')) return false;
    char *end;
    *number = strtod(value, &end);
    return end != value;
}

static size_t utf8(uint32_t letter, char *out) {
    if (letter < 0x80) {
        out[0] = (char)letter;
        return 1;
    }
    size_t more = letter < 0x800 ? 1 : letter < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xc0, 0xe0, 0xf0};
    for (size_t at = more; at > 0; at--, letter >>= 6) out[at] = (char)(0x80 | (letter & 0x3f));
    out[0] = (char)(first[more] | letter);
    return more + 1;
}

static bool hex(const char *at, uint32_t *number) {
    char digits[5] = {0};
    for (int digit = 0; digit < 4; digit++) {
        if (strchr("0123456789abcdefABCDEF", at[digit]) == NULL || at[digit] == '\0') return false;
        digits[digit] = at[digit];
    }
    *number = (uint32_t)strtoul(digits, NULL, 16);
    return true;
}

/* One escaped letter at `*at`, just behind the backslash; gives how many bytes it has. */
static size_t unescape(const char **at, char *out) {
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char letter = *(*at)++;
    uint32_t code, low;
    if (letter == 'u' && hex(*at, &code)) {
        *at += 4;
        bool pair = code >= 0xd800 && code < 0xdc00 && (*at)[0] == '\\' && (*at)[1] == 'u';
        if (pair && hex(*at + 2, &low) && low >= 0xdc00 && low < 0xe000) {
            *at += 6;
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        return utf8(code, out);
    }
    const char *known = letter != '\0' ? strchr(letters, letter) : NULL;
    *out = known != NULL ? meant[known - letters] : letter;
    return 1;
}

char *umbel_json_string(const char *value) {
    if (*value != '"') return NULL;
    const char *end = closing_quote(value);
    if (*end != '"') return NULL;
    /* An escaped letter is never shorter than what it stands for. */
    char *text = malloc((size_t)(end - value)), *out = text;
    if (text == NULL) abort();
    for (const char *at = value + 1; at < end;) {
        if (*at == '\\') {
            at++;
            out += unescape(&at, out);
        } else {
            *out++ = *at++;
        }
    }
    *out = '\0';
    return text;
}
