#include "experiment/course.h"

#include <assert.h>
#include <stdlib.h>

struct course *course_create(uint32_t peers)
{
    struct course *course = calloc(1, sizeof *course);
    assert(course);
    course->peers = peers;
    return course;
}

void course_free(struct course *course)
{
    free(course);
}

/* Which caches are the peers'. */
static void follow(struct course *course, const struct slab *now)
{
    struct slab *growth = malloc(sizeof *growth);
    assert(growth);
    slab_growth(growth, &course->first, now);
    for (unsigned i = 0; i < growth->count; i++)
        if (growth->caches[i].objects >= course->peers)
            course->followed.caches[course->followed.count++] = growth->caches[i];
    free(growth);
}

static int64_t grown(const struct course *course, const struct slab *now)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < course->followed.count; i++) {
        const char *name = course->followed.caches[i].name;
        const struct slab_cache *old = slab_find(&course->first, name);
        const struct slab_cache *cache = slab_find(now, name);
        sum += (cache ? cache->bytes : 0) - (old ? old->bytes : 0);
    }
    return sum > 0 ? sum : 0;
}

void course_add(struct course *course, const char *when, uint64_t rss_bytes, const struct slab *now)
{
    assert(course->count < COURSE_MOMENTS_MAX);
    bool known = now && now->count > 0;
    if (known && course->count == 0)
        course->first = *now;
    if (known && course->count == 1)
        follow(course, now);
    course->moments[course->count++] = (struct moment){
        .when = when,
        .rss_bytes = rss_bytes,
        .kernel_bytes = known && course->first.count > 0 ? grown(course, now) : -1,
    };
}

json_t *course_json(const struct course *course)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < course->count; i++) {
        const struct moment *moment = &course->moments[i];
        json_t *object = json_pack("{s:s}", "when", moment->when);
        if (moment->rss_bytes > 0)
            json_object_set_new(object, "rss_bytes", json_integer((json_int_t)moment->rss_bytes));
        if (moment->kernel_bytes >= 0)
            json_object_set_new(object, "kernel_bytes", json_integer(moment->kernel_bytes));
        json_array_append_new(list, object);
    }
    return list;
}
