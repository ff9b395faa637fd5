#include "umbel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *room(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) abort(); /* the task's memory limit */
    return memory;
}

static plugin_string_t text_of(const char *format, va_list values) {
    va_list again;
    va_copy(again, values);
    int length = vsnprintf(NULL, 0, format, values);
    plugin_string_t text = {NULL, 0};
    if (length > 0) {
        char *memory = room((size_t)length + 1);
        vsnprintf(memory, (size_t)length + 1, format, again);
        text.ptr = (uint8_t *)memory;
        text.len = (size_t)length;
    }
    va_end(again);
    return text;
}

plugin_string_t umbel_text(const char *format, ...) {
    va_list values;
    va_start(values, format);
    plugin_string_t text = text_of(format, values);
    va_end(values);
    return text;
}

char *umbel_cstring(const plugin_string_t *text) {
    char *copy = room(text->len + 1);
    if (text->len > 0) memcpy(copy, text->ptr, text->len);
    copy[text->len] = '\0';
    return copy;
}

static umbel_task_types_failure_t failure(const char *kind, const char *format, va_list values) {
    umbel_task_types_failure_t failure = {.message = text_of(format, values), .data = {.is_some = false}};
    plugin_string_dup(&failure.kind, kind);
    return failure;
}

bool umbel_fail(umbel_task_types_error_t *err, const char *kind, const char *format, ...) {
    va_list values;
    va_start(values, format);
    err->tag = UMBEL_TASK_TYPES_ERROR_FAILED;
    err->val.failed = failure(kind, format, values);
    va_end(values);
    return false;
}

bool umbel_retry(umbel_task_types_error_t *err, int64_t after_ms, int32_t at_most, const char *format, ...) {
    va_list values;
    va_start(values, format);
    err->tag = UMBEL_TASK_TYPES_ERROR_RETRY;
    err->val.retry = (umbel_task_types_retry_t){
        .cause = {.is_some = true, .val = failure("TaskError", format, values)},
        .after_ms = {.is_some = after_ms >= 0, .val = after_ms >= 0 ? (uint64_t)after_ms : 0},
        .max = {.is_some = at_most >= 0, .val = at_most >= 0 ? (uint32_t)at_most : 0},
    };
    va_end(values);
    return false;
}

bool umbel_reject(umbel_task_types_error_t *err, bool requeue) {
    err->tag = UMBEL_TASK_TYPES_ERROR_REJECT;
    err->val.reject = requeue;
    return false;
}

bool umbel_ignore(umbel_task_types_error_t *err) {
    err->tag = UMBEL_TASK_TYPES_ERROR_IGNORE;
    return false;
}

void umbel_update(const char *state, const char *json) {
    plugin_string_t name, details;
    plugin_string_set(&name, state);
    plugin_string_set(&details, json);
    umbel_task_progress_update(&name, &details);
}

void umbel_progress(uint64_t done, uint64_t total) {
    char json[80];
    snprintf(json, sizeof json, "{\"current\": %llu, \"total\": %llu}", (unsigned long long)done,
             (unsigned long long)total);
    umbel_update("PROGRESS", json);
}

void umbel_log(umbel_task_log_level_t level, const char *format, ...) {
    va_list values;
    va_start(values, format);
    plugin_string_t message = text_of(format, values), none = {NULL, 0};
    va_end(values);
    umbel_task_log_write(level, &message, &none);
    plugin_string_free(&message);
}

const umbel_task_context_request_t *umbel_request(void) {
    static umbel_task_context_request_t request;
    static bool read = false;
    if (!read) umbel_task_context_current(&request);
    read = true;
    return &request;
}
