#include "experiment/settings.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void settings_add(struct settings *settings, const char *format, ...)
{
    va_list arguments;
    assert(settings->count < SETTINGS_MAX);
    char *text = settings->texts[settings->count];
    va_start(arguments, format);
    int len = vsnprintf(text, SETTING_MAX, format, arguments);
    va_end(arguments);
    assert(len > 0 && len < SETTING_MAX);
    settings->list[settings->count++] = text;
}
