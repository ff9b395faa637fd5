/* What a task needs beside its own function: endings, progress, the caller, texts.
 * The folder belongs to the project; `umbel new` wrote it. */
#ifndef UMBEL_H
#define UMBEL_H

#include <stdbool.h>
#include <stdint.h>

#include "plugin.h"

#ifdef __GNUC__
#define UMBEL_FORMAT(text, values) __attribute__((format(printf, text, values)))
#else
#define UMBEL_FORMAT(text, values)
#endif

/* Endings. Each fills in the error and returns false, as a task that did not succeed does:
 *
 *     return umbel_retry(err, 2000, 3, "nothing arrived yet");
 */

/* The caller sees an exception of this kind; a Python builtin (ValueError) is raised as that. */
bool umbel_fail(umbel_task_types_error_t *err, const char *kind, const char *format, ...) UMBEL_FORMAT(3, 4);

/* Runs the task again after so many milliseconds, so many times at most; -1: as the worker is
 * configured. The text says what went wrong this time. */
bool umbel_retry(umbel_task_types_error_t *err, int64_t after_ms, int32_t at_most, const char *format, ...)
    UMBEL_FORMAT(4, 5);

/* Gives the message to the dead letters, or puts it into its queue again. */
bool umbel_reject(umbel_task_types_error_t *err, bool requeue);

/* Ends the task without a result. */
bool umbel_ignore(umbel_task_types_error_t *err);

/* Tells whoever follows the task that `done` of `total` is done. */
void umbel_progress(uint64_t done, uint64_t total);

/* Stores a state of the task's own, with details as JSON. */
void umbel_update(const char *state, const char *json);

/* A line in the worker's log. */
void umbel_log(umbel_task_log_level_t level, const char *format, ...) UMBEL_FORMAT(2, 3);

/* The message that started this run; read once, valid until the run ends. */
const umbel_task_context_request_t *umbel_request(void);

/* A text for a result or an error: written as printf does, freed by the bindings. */
plugin_string_t umbel_text(const char *format, ...) UMBEL_FORMAT(1, 2);

/* A parameter as C's own text, ended by NUL; to be freed. */
char *umbel_cstring(const plugin_string_t *text);

#endif
