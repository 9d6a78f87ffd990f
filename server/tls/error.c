#include "tls/error.h"

struct row {
    const char *name;
    int alert;
    const char *meaning;
};

#define ROW(NAME, name, alert, meaning) {#name, alert, meaning},
static const struct row rows[] = {TLS_ERRORS(ROW)};

const char *tls_error_name(enum tls_error error)
{
    return rows[error].name;
}

const char *tls_error_meaning(enum tls_error error)
{
    return rows[error].meaning;
}

int tls_error_alert(enum tls_error error)
{
    return rows[error].alert;
}
