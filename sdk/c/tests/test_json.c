/* cc -Iumbel tests/test_json.c umbel/json.c && ./a.out */
#include "json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_value_is_written(void) {
    struct umbel_json json = {0};
    umbel_json_add(&json, "{\"count\": %d, \"name\": ", 3);
    umbel_json_quote(&json, "a \"b\"\\\n", 7);
    umbel_json_add(&json, "}");
    assert(strcmp(json.text, "{\"count\": 3, \"name\": \"a \\\"b\\\"\\\\\\u000a\"}") == 0);
    free(json.text);
}

static void a_value_is_found(void) {
    const char *json = " {\"a\": [1, {\"b\": 9}, \"]\"], \"c\\u0062\" : \"x\\ty\\u20ac\\ud83d\\ude00\", \"b\": -2.5e1}";
    double number;
    assert(umbel_json_number(umbel_json_find(json, "b"), &number) && number == -25);
    char *text = umbel_json_string(umbel_json_find(json, "cb"));
    assert(text != NULL && strcmp(text, "x\ty\xe2\x82\xac\xf0\x9f\x98\x80") == 0);
    free(text);
    assert(*umbel_json_find(json, "a") == '[');
    assert(umbel_json_find(json, "d") == NULL);
    assert(!umbel_json_number(umbel_json_find(json, "a"), &number));
    assert(umbel_json_string(umbel_json_find(json, "b")) == NULL);
}

static void what_is_no_object_has_no_keys(void) {
    const char *broken[] = {"", "[]", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\\", "{a: 1}", "{\"b\": \"", "{\"b\": [", NULL};
    for (int at = 0; broken[at] != NULL; at++) {
        const char *found = umbel_json_find(broken[at], "a");
        assert(found == NULL || *found == '\0');
    }
    assert(umbel_json_string("\"") == NULL && umbel_json_string("\"a\\\"") == NULL);
}

int main(void) {
    a_value_is_written();
    a_value_is_found();
    what_is_no_object_has_no_keys();
    puts("ok");
    return 0;
}
