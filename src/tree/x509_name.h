/* Private to tree/: names of certificates' subjects, as ACLs have them. */
#ifndef MK_TREE_X509_NAME_H
#define MK_TREE_X509_NAME_H

#include "base/base.h"

/* Whether Java's X500Principal would read it: "CN=ann,O=Moonkeeper". Nothing at all is a name, too. */
bool tree_x509_name_valid(struct mk_bytes name);

#endif
