/* The training curves as an SVG. */
#ifndef CHART_H
#define CHART_H

#include "results.h"

/* Writes the chart, or ends the program when the file cannot be written. */
void chart_write(const results *measured, const char *path);

#endif
