#include "output/view.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct view_style plain = {.columns = 80, .lines = 24};

static void add_row(struct view_state *state, const char *name, const char *workload, double rate)
{
    struct view_row *row = &state->rows[state->row_count++];
    snprintf(row->name, sizeof row->name, "%s", name);
    snprintf(row->workload, sizeof row->workload, "%s", workload);
    row->deliveries_per_s = rate;
    row->p50_ns = 1500000;
    row->p99_ns = 4200000;
    row->server_cpu = 0.98;
}

/* The middle of a run with everything that a view can have. */
static struct view_state busy(void)
{
    struct view_state state = {
        .experiment = "fanout",
        .phase = "turns",
        .contestant = "websocket",
        .detail = "depth 8, round 3",
        .elapsed_s = 72.4,
        .share = 0.6,
        .left_s = 48,
        .progress = "24 of 40 turns",
        .connections = 9000,
        .clients = 9000,
        .deliveries_per_s = 104000,
        .server_cpu = 0.98,
        .client_cpu = 0.86,
        .server_cpus = "0",
        .client_cpus = "1",
        .rss_bytes = UINT64_C(12) << 20,
        .slab_bytes = UINT64_C(402) << 20,
        .available_bytes = UINT64_C(14) << 30,
        .p50_ns = 4200000,
        .p99_ns = 8100000,
        .p999_ns = 9300000,
        .history_count = VIEW_HISTORY,
    };
    for (int i = 0; i < VIEW_HISTORY; i++)
        state.history[CURVE_DELIVERIES][i] = (float)i;
    add_row(&state, "websocket", "depth 8", 104000);
    add_row(&state, "bare-send", "depth 8", 110000);
    return state;
}

/* Draws, and checks what holds of every drawing: whole lines, none too long, none too many. */
static const char *drawn(const struct view_state *state, const struct view_style *style)
{
    static char text[VIEW_TEXT_MAX];
    size_t len = view_draw(state, style, text, sizeof text - 1);
    unsigned lines = 0;
    assert_true(len < sizeof text);
    text[len] = '\0';
    for (const char *at = text; *at; lines++) {
        const char *end = strchr(at, '\n');
        assert_non_null(end);
        assert_true(view_columns(at, (size_t)(end - at)) < style->columns);
        at = end + 1;
    }
    assert_true(lines < style->lines);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in:\n%s", part, text);
}

static void test_all_figures_at_80_columns(void **unused)
{
    (void)unused;
    struct view_state state = busy();
    const char *text = drawn(&state, &plain);
    assert_has(text, "fanout  turns, websocket, depth 8, round 3");
    assert_has(text, "1:12, 48 s left\n");
    assert_has(text, "##");
    assert_has(text, "24 of 40 turns\n");
    assert_has(text, "connected  9,000 of 9,000\n");
    assert_has(text, "delivered  104k/s");
    assert_has(text, "latency    p50 4.20 ms  p99 8.10 ms  p99.9 9.30 ms\n");
    assert_has(text, "server CPU 98 % of CPU 0");
    assert_has(text, "client CPU 86 % of CPU 1");
    assert_has(text, "kernel slab 402 MiB  free 14.0 GiB\n");
    assert_has(text, "errors     none\n");
    assert_has(text, "websocket, depth 8");
    assert_null(strchr(text, '\033'));
}

static void test_narrow_keeps_what_matters(void **unused)
{
    (void)unused;
    struct view_state state = busy();
    const struct view_style style = {.columns = 40, .lines = 24};
    const char *text = drawn(&state, &style);
    assert_has(text, "1:12, 48 s left\n");
    assert_has(text, "24 of 40 turns\n");
    assert_has(text, "p50 4.20 ms  p99 8.10 ms\n");
    assert_null(strstr(text, "p99.9"));
    assert_has(text, "104k");
}

/* Where there is room contestants stand to the right of the gauges, in the same lines. */
static void test_wide_has_two_panes(void **unused)
{
    (void)unused;
    struct view_state state = busy();
    const struct view_style style = {.columns = 200, .lines = 24};
    const char *text = drawn(&state, &style);
    const char *line = strstr(text, "connected");
    assert_non_null(line);
    const char *head = strstr(line, "last turn");
    assert_non_null(head);
    assert_null(memchr(line, '\n', (size_t)(head - line)));
    const char *row = strstr(text, "websocket, depth 8  ");
    assert_non_null(row);
    assert_true(row < strstr(text, "errors"));
}

static void test_any_size_holds_its_bounds(void **unused)
{
    (void)unused;
    struct view_state state = busy();
    for (unsigned i = 0; i < LOAD_FAIL_COUNT; i++)
        state.failures[i] = 1000000;
    while (state.row_count < VIEW_ROWS_MAX)
        add_row(&state, "a contestant whose name is rather long", "and its workload too", 1);
    for (unsigned columns = 2; columns < 300; columns++)
        for (unsigned lines = 1; lines <= VIEW_LINES_MAX; lines += 3) {
            const struct view_style style = {columns, lines, columns % 2, lines % 2};
            drawn(&state, &style);
        }
}

static void test_nothing_is_known_at_the_start(void **unused)
{
    (void)unused;
    const struct view_state state = {
        .experiment = "hold", .phase = "start", .share = -1, .left_s = -1};
    const char *text = drawn(&state, &plain);
    assert_has(text, "hold  start ");
    assert_has(text, " 0 s\n");
    assert_has(text, "delivered  0/s\n");
    assert_has(text, "latency    -\n");
    assert_null(strstr(text, "left"));
    assert_null(strstr(text, "last turn"));
}

static void test_errors_are_named(void **unused)
{
    (void)unused;
    struct view_state state = busy();
    state.failures[LOAD_FAIL_REFUSED] = 12;
    state.failures[LOAD_FAIL_TIMEOUT] = 3;
    state.ledger_faults = 5000;
    assert_has(drawn(&state, &plain),
               "errors     5,000 lost, doubled, out of order or corrupt, 12 refused, 3 timeout\n");
}

/* All contestants where they fit, else those of the workload that had the last turn. */
static void test_too_many_contestants(void **unused)
{
    (void)unused;
    struct view_state state = busy();
    const struct view_style low = {.columns = 80, .lines = 16};
    add_row(&state, "websocket", "depth 1", 1);
    add_row(&state, "bare-send", "depth 1", 1);
    assert_has(drawn(&state, &plain), "websocket, depth 1");
    assert_has(drawn(&state, &low), "websocket, depth 8");
    assert_null(strstr(drawn(&state, &low), "depth 1"));
    state.row_last = 2;
    assert_has(drawn(&state, &low), "websocket, depth 1");
}

static void test_colours_and_curves_take_no_columns(void **unused)
{
    (void)unused;
    struct view_state state = busy();
    const struct view_style style = {.columns = 80, .lines = 24, .colour = true, .unicode = true};
    const char *text = drawn(&state, &style);
    assert_has(text, "\033[1mfanout\033[0m");
    assert_has(text, "━");
    assert_has(text, "█");
    static const char toned[] = "\033[1m▁▂\033[0mx";
    assert_int_equal(view_columns(toned, sizeof toned - 1), 3);
}

static void test_as_one_line(void **unused)
{
    (void)unused;
    struct view_state state = busy();
    char line[512], small[16];
    state.failures[LOAD_FAIL_RESET] = 2;
    view_line(&state, true, line, sizeof line);
    assert_string_equal(line, "[  72.4 s] turns, websocket, depth 8, round 3 (24 of 40 turns, 48 s "
                              "left): 9,000 connected, 104k deliveries/s, p50 4.20 ms, p99 8.10 "
                              "ms; CPU server 0.98, client 0.86; server 12.0 MiB, kernel slab 402 "
                              "MiB; errors: 2 reset");
    view_line(&state, false, line, sizeof line);
    assert_string_equal(
        line, "[  72.4 s] turns, websocket, depth 8, round 3 (24 of 40 turns, 48 s left)");
    assert_int_equal(view_line(&state, true, small, sizeof small), sizeof small - 1);
    assert_int_equal(strlen(small), sizeof small - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_figures_at_80_columns),
        cmocka_unit_test(test_narrow_keeps_what_matters),
        cmocka_unit_test(test_wide_has_two_panes),
        cmocka_unit_test(test_any_size_holds_its_bounds),
        cmocka_unit_test(test_nothing_is_known_at_the_start),
        cmocka_unit_test(test_errors_are_named),
        cmocka_unit_test(test_too_many_contestants),
        cmocka_unit_test(test_colours_and_curves_take_no_columns),
        cmocka_unit_test(test_as_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
