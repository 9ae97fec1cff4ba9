// The files of reconciler/page/, as texts in the program (reconciler/page/embed.sh).
#ifndef RECONCILER_PAGE_FILES_H
#define RECONCILER_PAGE_FILES_H

extern const char page_html[];
extern const char row_html[];
extern const char page_css[];
extern const char page_js[];

#endif
