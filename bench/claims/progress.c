#include "claims/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "claims/judge.h"
#include "measure/clock.h"
#include "output/screen.h"

enum {
    VIEW_MS = 250,
    LINES_MS = 500,
    SILENT_MS = 1000, /* a signal that came just before is not overslept for longer */
};

void progress_init(struct progress *progress, struct bench *bench, bool aloud,
                   const json_t *verdicts)
{
    *progress = (struct progress){
        .bench = bench,
        .aloud = aloud,
        .verdicts = verdicts,
        .viewer = {-1, -1},
    };
}

void progress_add(struct progress *progress, const struct scenario *scenario)
{
    progress->count++;
    progress->ahead_s += scenario->seconds;
}

static enum options_show shown(const struct progress *progress)
{
    return progress->bench->watch.show;
}

static double in_scenario_s(const struct progress *progress)
{
    return (double)(clock_now_ns() - progress->began_ns) / NS_PER_S;
}

/* ---- the view ---- */

/* Scenarios to come are taken to need as much of what they may as those that are done. */
static void estimate(const struct progress *progress, struct view_state *view)
{
    double now_s = in_scenario_s(progress);
    double share = progress->may_s > 0 ? progress->took_s / progress->may_s : 1;
    double left_s = progress->scenario->seconds * share - now_s;
    left_s = (left_s > 0 ? left_s : 0) + progress->ahead_s * share;
    view->left_s = left_s;
    view->share = (progress->took_s + now_s) / (progress->took_s + now_s + left_s);
}

/* The run's own view below the head of the session. */
static void show(const struct progress *progress)
{
    const struct watch *watch = &progress->bench->watch;
    struct view_state view = progress->view;
    view.whole = (struct view_whole){
        .at = progress->at,
        .count = progress->count,
        .took_s = in_scenario_s(progress),
        .may_s = progress->scenario->seconds,
        .left_s = view.left_s,
        .holds = judge_count(progress->verdicts, "holds"),
        .fails = judge_count(progress->verdicts, "fails"),
        .depends = judge_count(progress->verdicts, "depends"),
        .unmeasured = judge_count(progress->verdicts, "not measured"),
    };
    memcpy(view.whole.progress, view.progress, sizeof view.progress);
    memcpy(view.experiment, watch->view.experiment, sizeof view.experiment);
    snprintf(view.whole.name, sizeof view.whole.name, "%s", progress->scenario->name);
    snprintf(view.progress, sizeof view.progress, "%u of %u scenarios", progress->at,
             progress->count);
    view.elapsed_s = (double)(clock_now_ns() - progress->bench->result.started_ns) / NS_PER_S;
    estimate(progress, &view);
    screen_show(&view);
}

/* ---- lines ---- */

/* What it has written since the last call. */
static void copy_output(struct progress *progress, const struct process *run)
{
    char text[4096];
    ssize_t got;
    while ((got = pread(run->output_fd, text, sizeof text, progress->copied)) > 0) {
        printf("%.*s", (int)got, text);
        progress->copied += got;
    }
    fflush(stdout);
}

/* ---- a scenario ---- */

void progress_begin(struct progress *progress, const struct scenario *scenario)
{
    progress->at++;
    progress->ahead_s -= scenario->seconds;
    progress->scenario = scenario;
    progress->began_ns = clock_now_ns();
    progress->copied = 0;
    progress->verdicts_before = (unsigned)json_array_size(progress->verdicts);
    progress->view = (struct view_state){.phase = "start", .share = -1, .left_s = -1};
    snprintf(progress->label, sizeof progress->label, "[%2u/%u] %-12s", progress->at,
             progress->count, scenario->name);
    if (shown(progress) == SHOW_VIEW) {
        viewer_open(&progress->viewer); /* without one the session alone is seen */
        show(progress);
    } else if (shown(progress) == SHOW_LINES) {
        fputs(progress->label, stdout);
        if (progress->aloud)
            printf("  %s\n", scenario->title);
        fflush(stdout);
    }
}

void progress_started(struct progress *progress)
{
    viewer_started(&progress->viewer);
}

bool progress_wait(struct progress *progress, struct process *run)
{
    bool viewed = shown(progress) == SHOW_VIEW, copied = progress->aloud && !viewed;
    bool ended = process_wait(run, viewed ? VIEW_MS : copied ? LINES_MS : SILENT_MS);
    viewer_take(&progress->viewer, &progress->view);
    if (viewed)
        show(progress);
    if (ended)
        screen_clear();
    if (copied || (ended && progress->aloud))
        copy_output(progress, run);
    return ended;
}

void progress_end(struct progress *progress, const struct attempt *attempt)
{
    bool viewed = shown(progress) == SHOW_VIEW;
    const json_t *verdicts = progress->verdicts;
    unsigned first = progress->verdicts_before;
    progress->may_s += progress->scenario->seconds;
    progress->took_s += attempt->elapsed_s;
    viewer_close(&progress->viewer);
    screen_clear();
    if (shown(progress) == SHOW_NOTHING)
        return;
    printf("%s  %.0f s", viewed || progress->aloud ? progress->label : "", attempt->elapsed_s);
    if (!attempt->run)
        printf("  not measured: %s", attempt->why);
    for (size_t i = first; attempt->run && i < json_array_size(verdicts); i++)
        printf("%s%s", i == first ? "  " : ", ",
               json_string_value(json_object_get(json_array_get(verdicts, i), "verdict")));
    printf("\n");
    fflush(stdout);
}
