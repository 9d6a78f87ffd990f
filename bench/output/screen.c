#include "output/screen.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "measure/clock.h"

enum {
    DRAWS_PER_S = 4,
    COLUMNS_DEFAULT = 80,
    LINES_DEFAULT = 24,
    /* Each line is followed by what clears the rest of it. */
    OUTPUT_MAX = VIEW_TEXT_MAX + VIEW_LINES_MAX * 8 + 64,
    /* A signal handler waits for the end of a drawing, unless the terminal takes nothing. */
    DRAWING_MS_MAX = 1000,
};

static const char CURSOR_OFF[] = "\033[?25l", CURSOR_ON[] = "\033[?25h";

static struct {
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t wake;
    bool running, ending;
    bool visible; /* there is a state to draw */
    struct view_state state;
    int64_t state_ns; /* when it was shown */
    struct view_style style;
    unsigned drawn; /* lines that stand on the terminal, … */
    unsigned widths[VIEW_LINES_MAX];
    unsigned columns; /* … drawn for this width */
} screen = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Shared with signal handlers. */
static atomic_bool cursor_hidden;
static atomic_bool drawing;     /* the thread writes to the terminal, or will unless one of: */
static atomic_bool left;        /* the process ends, nothing is drawn any more */
static atomic_bool stopping;    /* it is about to stop, nothing is drawn before it goes on */
static atomic_bool was_stopped; /* the shell has written below the block */

/* ---- the terminal ---- */

static void write_all(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t written = write(STDOUT_FILENO, text, len);
        if (written < 0 && errno != EINTR)
            return;
        text += written > 0 ? written : 0;
        len -= written > 0 ? (size_t)written : 0;
    }
}

static void restore(void)
{
    if (atomic_exchange_explicit(&cursor_hidden, false, memory_order_relaxed))
        write_all(CURSOR_ON, sizeof CURSOR_ON - 1);
}

static void hide_cursor(void)
{
    if (!atomic_exchange_explicit(&cursor_hidden, true, memory_order_relaxed))
        write_all(CURSOR_OFF, sizeof CURSOR_OFF - 1);
}

/* In a handler that has set `left` or `stopping`: whatever is being drawn comes first, so that the
 * cursor is not hidden after it was shown. */
static void restore_after_drawing(void)
{
    const struct timespec pause = {.tv_nsec = NS_PER_S / 1000};
    for (int i = 0; i < DRAWING_MS_MAX; i++) {
        if (!atomic_load_explicit(&drawing, memory_order_seq_cst))
            break;
        nanosleep(&pause, NULL);
    }
    restore();
}

void screen_leave(void)
{
    atomic_store_explicit(&left, true, memory_order_seq_cst);
    restore_after_drawing();
}

/* Whether standard output is a terminal that can move its cursor. */
static bool possible(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

static void read_style(struct view_style *style)
{
    const char *no_colour = getenv("NO_COLOR");
    setlocale(LC_CTYPE, "");
    style->colour = !no_colour || !*no_colour;
    style->unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* A new width is seen here, within a drawing's time: no signal is needed for it. */
static void read_size(struct view_style *style)
{
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    style->columns = size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
    style->lines = size.ws_row > 0 ? size.ws_row : LINES_DEFAULT;
    if (style->lines > VIEW_LINES_MAX)
        style->lines = VIEW_LINES_MAX;
}

/* ---- drawing ---- */

/* Rows of the terminal that the block has now: most terminals break lines anew when they become
 * narrower. */
static unsigned rows_drawn(unsigned columns)
{
    unsigned rows = 0;
    for (unsigned i = 0; i < screen.drawn; i++)
        rows += screen.widths[i] > columns ? (screen.widths[i] + columns - 1) / columns : 1;
    return rows;
}

/* To the start of the block. When the width has changed, all of it is cleared first. */
static size_t go_up(char *output, size_t size)
{
    unsigned rows = rows_drawn(screen.style.columns);
    size_t len = (size_t)snprintf(output, size, "\r");
    if (rows > 0)
        len += (size_t)snprintf(output + len, size - len, "\033[%uA", rows);
    if (screen.columns != screen.style.columns)
        len += (size_t)snprintf(output + len, size - len, "\033[J");
    return len;
}

static void draw(void)
{
    static char text[VIEW_TEXT_MAX], output[OUTPUT_MAX];
    double since_s = (double)(clock_now_ns() - screen.state_ns) / NS_PER_S;
    struct view_state *state = &screen.state;
    screen.state_ns = clock_now_ns();
    state->elapsed_s += since_s;
    if (state->left_s > 0)
        state->left_s = state->left_s > since_s ? state->left_s - since_s : 0;
    read_size(&screen.style);
    if (atomic_exchange_explicit(&was_stopped, false, memory_order_relaxed))
        screen.drawn = 0;
    size_t text_len = view_draw(state, &screen.style, text, sizeof text);
    size_t len = go_up(output, sizeof output);
    screen.drawn = 0;
    for (size_t at = 0; at < text_len && screen.drawn < VIEW_LINES_MAX;) {
        const char *end = memchr(text + at, '\n', text_len - at);
        size_t line = end ? (size_t)(end - text) - at : text_len - at;
        screen.widths[screen.drawn++] = view_columns(text + at, line);
        memcpy(output + len, text + at, line);
        memcpy(output + len + line, "\033[K\r\n", 5);
        len += line + 5;
        at += line + 1;
    }
    memcpy(output + len, "\033[J", 3);
    screen.columns = screen.style.columns;
    hide_cursor();
    write_all(output, len + 3);
}

/* With the lock. */
static void clear(void)
{
    char output[64];
    screen.visible = false;
    if (screen.drawn > 0) {
        read_size(&screen.style);
        size_t len = go_up(output, sizeof output - 4);
        memcpy(output + len, "\033[J", 3);
        write_all(output, len + 3);
        screen.drawn = 0;
    }
    restore();
}

/* With the lock. */
static void draw_unless_ending(void)
{
    atomic_store_explicit(&drawing, true, memory_order_seq_cst);
    if (!atomic_load_explicit(&left, memory_order_seq_cst) &&
        !atomic_load_explicit(&stopping, memory_order_seq_cst))
        draw();
    atomic_store_explicit(&drawing, false, memory_order_seq_cst);
}

static void *run(void *context)
{
    (void)context;
    const struct sched_param batch = {0};
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &batch);
    pthread_mutex_lock(&screen.lock);
    while (!screen.ending) {
        if (screen.visible)
            draw_unless_ending();
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += NS_PER_S / DRAWS_PER_S;
        if (until.tv_nsec >= NS_PER_S) {
            until.tv_nsec -= NS_PER_S;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&screen.wake, &screen.lock, &until);
    }
    pthread_mutex_unlock(&screen.lock);
    return NULL;
}

/* ---- signals ---- */

/* The handler is gone when it is called: what it raises has its usual effect. */
static void on_fatal(int number)
{
    screen_leave();
    raise(number);
}

/* The shell gets its cursor while the run is stopped. */
static void on_stop(int number)
{
    (void)number;
    int err = errno;
    atomic_store_explicit(&stopping, true, memory_order_seq_cst);
    restore_after_drawing();
    atomic_store_explicit(&was_stopped, true, memory_order_relaxed);
    raise(SIGSTOP);
    atomic_store_explicit(&stopping, false, memory_order_seq_cst);
    errno = err;
}

static void handle_signals(void)
{
    static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGQUIT};
    struct sigaction once = {.sa_handler = on_fatal, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        sigaction(fatal[i], &once, NULL);
    sigaction(SIGTSTP, &stop, NULL);
}

/* ---- from outside ---- */

/* It has no signals: they are for the thread that measures, which they interrupt. */
static int start_thread(const cpu_set_t *cpus)
{
    sigset_t all, before;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&screen.wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&screen.thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err == 0)
        pthread_setaffinity_np(screen.thread, sizeof *cpus, cpus);
    return -err;
}

int screen_begin(const cpu_set_t *cpus)
{
    if (!possible())
        return -ENOTTY;
    fflush(stdout);
    read_style(&screen.style);
    handle_signals();
    int err = start_thread(cpus);
    if (err < 0)
        return err;
    screen.running = true;
    atexit(screen_end);
    return 0;
}

void screen_show(const struct view_state *state)
{
    if (!screen.running || pthread_mutex_trylock(&screen.lock) != 0)
        return;
    screen.state = *state;
    screen.state_ns = clock_now_ns();
    screen.visible = true;
    pthread_mutex_unlock(&screen.lock);
}

void screen_clear(void)
{
    if (!screen.running)
        return;
    pthread_mutex_lock(&screen.lock);
    clear();
    pthread_mutex_unlock(&screen.lock);
}

void screen_end(void)
{
    if (!screen.running)
        return;
    pthread_mutex_lock(&screen.lock);
    clear();
    screen.ending = true;
    pthread_cond_signal(&screen.wake);
    pthread_mutex_unlock(&screen.lock);
    pthread_join(screen.thread, NULL);
    screen.running = false;
}
