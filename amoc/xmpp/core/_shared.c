/* shared.py's parser in C: the same, for a tenth of the instructions. What it refuses, it refuses in the same way.
 *
 * Theory of operation. expat is Python's own, reached through the capsule that pyexpat offers to other extensions, so
 * that nothing is linked and both parsers read XML alike. Elements are made without a call into Python: memory from
 * the class, its slots filled by their offsets. Names come from tables that live as long as the process; they are
 * emptied when a peer has made up too many.
 *
 * The capsule tells no offsets. That the last token is complete is known otherwise: the bytes end in '>', hold no
 * "<!" and no "<?" (comments, CDATA sections and the like: unusual), so what begins with the last '<' is a tag. An end
 * tag has no quotes, and is complete. A start tag is, unless its last '>' stands inside of a quoted value.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h> /* PyMemberDef, before Python 3.12 */

/* The head of struct PyExpat_CAPI (pyexpat.h, the same since Python 2.4), so that expat's own header is not needed. */
typedef struct XML_ParserStruct *Expat;
typedef void (*OnStart)(void *, const char *, const char **);
typedef void (*OnEnd)(void *, const char *);
typedef void (*OnText)(void *, const char *, int);
static struct capi {
    char *magic;
    int size, major, minor, micro;
    const char *(*error_string)(int);
    int (*error_code)(Expat);
    unsigned long (*column)(Expat), (*line)(Expat);
    int (*parse)(Expat, const char *, int, int);
    Expat (*create)(const char *, const void *, const char *);
    void (*free)(Expat);
    void (*on_text)(Expat, OnText);
    void (*on_comment)(Expat, void *), (*on_default)(Expat, void *);
    void (*on_element)(Expat, OnStart, OnEnd);
    void (*on_prefix)(Expat, void *, void *), (*on_instruction)(Expat, void *), (*on_encoding)(Expat, void *, void *);
    void (*set_user_data)(Expat, void *);
} *expat;

#define MAGIC "pyexpat.expat_CAPI 1.1"
#define XML_NS "http://www.w3.org/XML/1998/namespace "

/* -- names: expat's "namespace name" to two objects, by open addressing ------------------------------- */

typedef struct {
    uint64_t hash;
    char *raw; /* NULL: free */
    PyObject *name, *ns; /* of an attribute: its key, and NULL */
} Name;

typedef struct {
    Name *names;
    size_t size, used; /* size: a power of two */
} Names;

static Names element_names, attribute_names;
static PyObject *element_type;
static Py_ssize_t at_name, at_ns, at_attrs, at_children; /* the offsets of Element's slots */
static int max_depth;
static size_t max_names;
/* A parser is inside of expat. A collection of garbage may call a finalizer that comes here then: it is sent away. */
static int busy;

static void forget(Names *table) {
    for (size_t i = 0; i < table->size; i++) {
        PyMem_Free(table->names[i].raw);
        Py_XDECREF(table->names[i].name);
        Py_XDECREF(table->names[i].ns);
    }
    PyMem_Free(table->names);
    memset(table, 0, sizeof *table);
}

static Name *place(Name *names, size_t size, uint64_t hash, const char *raw) {
    size_t i = hash & (size - 1);
    while (names[i].raw && (names[i].hash != hash || strcmp(names[i].raw, raw))) i = (i + 1) & (size - 1);
    return &names[i];
}

static int grow(Names *table) {
    size_t size = table->size ? table->size * 2 : 256;
    Name *names = PyMem_Calloc(size, sizeof *names);
    if (!names) return 0;
    for (size_t i = 0; i < table->size; i++)
        if (table->names[i].raw) *place(names, size, table->names[i].hash, table->names[i].raw) = table->names[i];
    PyMem_Free(table->names);
    table->names = names;
    table->size = size;
    return 1;
}

/* The objects for a name; NULL when there is no memory. `key`: of an attribute, as tokenizer.plain writes it. */
static Name *find(Names *table, const char *raw, int key) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a; a peer that makes names collide meets max_names */
    const char *end = raw;
    for (; *end; end++) hash = (hash ^ (unsigned char)*end) * 1099511628211u;
    if (table->used * 2 >= table->size && !grow(table)) return NULL;
    Name *found = place(table->names, table->size, hash, raw);
    if (found->raw) return found;
    const char *space = strrchr(raw, ' ');
    const char *local = space ? space + 1 : raw;
    size_t size = end - raw + 1;
    PyObject *name, *ns = NULL;
    if (!key) {
        name = PyUnicode_DecodeUTF8(local, end - local, NULL);
        ns = PyUnicode_DecodeUTF8(raw, space ? space - raw : 0, NULL);
        if (!ns) Py_CLEAR(name);
        else PyUnicode_InternInPlace(&ns);
    } else if (!space) name = PyUnicode_DecodeUTF8(raw, end - raw, NULL);
    else if (!strncmp(raw, XML_NS, sizeof XML_NS - 1)) name = PyUnicode_FromFormat("xml:%s", raw + sizeof XML_NS - 1);
    else {
        PyObject *uri = PyUnicode_DecodeUTF8(raw, space - raw, NULL);
        name = uri ? PyUnicode_FromFormat("{%U}%s", uri, local) : NULL;
        Py_XDECREF(uri);
    }
    char *copy = PyMem_Malloc(size);
    if (!name || !copy) {
        Py_XDECREF(name);
        Py_XDECREF(ns);
        PyMem_Free(copy);
        return NULL;
    }
    PyUnicode_InternInPlace(&name);
    memcpy(copy, raw, size);
    *found = (Name){hash, copy, name, ns};
    table->used++;
    return found;
}

/* -- the parser ---------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    Expat parser;
    PyObject **stack; /* lists of children of the open elements, held by these; the list of stanzas at the bottom */
    int depth, unusual;
    char *text; /* since the last tag */
    size_t text_size, text_room, left; /* left: bytes until it is spent */
} Parser;

static PyObject **slot(PyObject *element, Py_ssize_t offset) { return (PyObject **)((char *)element + offset); }

/* Append what text there is to the children on top. */
static int flush(Parser *self) {
    if (!self->text_size) return 1;
    PyObject *text = PyUnicode_DecodeUTF8(self->text, self->text_size, NULL);
    int done = text && !PyList_Append(self->stack[self->depth - 1], text);
    self->text_size = 0;
    Py_XDECREF(text);
    return done;
}

static PyObject *attributes(const char **given) {
    PyObject *attrs = PyDict_New();
    for (; attrs && *given; given += 2) {
        Name *key = find(&attribute_names, given[0], 1);
        PyObject *value = key ? PyUnicode_DecodeUTF8(given[1], strlen(given[1]), NULL) : NULL;
        if (!value || PyDict_SetItem(attrs, key->name, value)) Py_CLEAR(attrs);
        Py_XDECREF(value);
    }
    return attrs;
}

static void started(void *data, const char *raw, const char **given) {
    Parser *self = data;
    if (self->unusual) return;
    self->unusual = 1; /* unless all goes well */
    if (self->depth > max_depth || element_names.used > max_names || attribute_names.used > max_names) return;
    if (!flush(self)) return;
    Name *name = find(&element_names, raw, 0);
    if (!name) return;
    PyTypeObject *type = (PyTypeObject *)element_type;
    PyObject *element = type->tp_alloc(type, 0);
    if (!element) return;
    Py_INCREF(*slot(element, at_name) = name->name);
    Py_INCREF(*slot(element, at_ns) = name->ns);
    PyObject *children = PyList_New(0);
    *slot(element, at_children) = children;
    if (children && (*slot(element, at_attrs) = attributes(given)) &&
        !PyList_Append(self->stack[self->depth - 1], element)) {
        self->stack[self->depth++] = children;
        self->unusual = 0;
    }
    Py_DECREF(element);
}

static void ended(void *data, const char *raw) {
    Parser *self = data;
    if (self->unusual) return;
    if (self->depth == 1 || !flush(self)) self->unusual = 1; /* the stream's end */
    else self->depth--;
}

static void said(void *data, const char *text, int size) {
    Parser *self = data;
    if (self->unusual) return;
    if (self->depth == 1) { /* text between stanzas, if only white space */
        self->unusual = 1;
        return;
    }
    if (self->text_size + size > self->text_room) {
        size_t room = (self->text_size + size) * 2;
        char *more = PyMem_Realloc(self->text, room);
        if (!more) {
            self->unusual = 1;
            return;
        }
        self->text = more;
        self->text_room = room;
    }
    memcpy(self->text + self->text_size, text, size);
    self->text_size += size;
}

/* Whether the bytes end with a whole tag, and hold nothing but tags and text: see above. */
static int whole(const char *data, Py_ssize_t size) {
    const char *end = data + size, *last = NULL;
    if (!size || end[-1] != '>') return 0;
    for (const char *at = data; (at = memchr(at, '<', end - at)); at++) {
        if (at[1] == '!' || at[1] == '?') return 0; /* the last byte is '>', so there is one behind '<' */
        last = at;
    }
    if (!last) return 0;
    if (last[1] == '/') return 1;
    char quote = 0;
    for (const char *at = last; at < end; at++) {
        if (quote) {
            if (*at == quote) quote = 0;
        } else if (*at == '\'' || *at == '"') quote = *at;
    }
    return !quote;
}

static PyObject *feed(Parser *self, PyObject *data) {
    if (!PyBytes_Check(data)) return PyErr_Format(PyExc_TypeError, "bytes, not %s", Py_TYPE(data)->tp_name);
    const char *bytes = PyBytes_AS_STRING(data);
    Py_ssize_t size = PyBytes_GET_SIZE(data);
    if (self->unusual || busy || size > INT_MAX || !whole(bytes, size)) Py_RETURN_NONE;
    PyObject *stanzas = PyList_New(0);
    if (!stanzas) return NULL;
    self->stack[0] = stanzas;
    busy = 1;
    int parsed = expat->parse(self->parser, bytes, (int)size, 0);
    busy = 0;
    int spent = (size_t)size > self->left;
    self->left -= spent ? self->left : (size_t)size;
    if (!parsed || self->unusual || self->depth != 1 || spent) {
        self->unusual = 1;
        PyErr_Clear(); /* no memory: whoever parses this again will see */
        Py_DECREF(stanzas);
        Py_RETURN_NONE;
    }
    return stanzas;
}

static void parser_dealloc(Parser *self) {
    PyTypeObject *type = Py_TYPE(self);
    if (self->parser) expat->free(self->parser);
    PyMem_Free(self->stack);
    PyMem_Free(self->text);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *parser_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    const char *header;
    Py_ssize_t size, recycle;
    if (kwargs && PyDict_GET_SIZE(kwargs)) return PyErr_Format(PyExc_TypeError, "Parser takes no keywords");
    if (!PyArg_ParseTuple(args, "y#n", &header, &size, &recycle)) return NULL;
    Parser *self = (Parser *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    if (element_names.used > max_names && !busy) forget(&element_names);
    if (attribute_names.used > max_names && !busy) forget(&attribute_names);
    self->stack = PyMem_Malloc((max_depth + 1) * sizeof *self->stack);
    self->parser = expat->create("utf-8", NULL, " ");
    if (!self->stack || !self->parser) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    if (!expat->parse(self->parser, header, (int)size, 0)) {
        Py_DECREF(self);
        return PyErr_Format(PyExc_ValueError, "the header is not well-formed");
    }
    self->depth = 1;
    self->left = recycle;
    expat->set_user_data(self->parser, self);
    expat->on_element(self->parser, started, ended);
    expat->on_text(self->parser, said);
    return (PyObject *)self;
}

static PyMethodDef parser_methods[] = {
    {"feed", (PyCFunction)feed, METH_O, "The stanzas that the bytes are, or None if they are unusual."}, {0}};

static PyType_Slot parser_slots[] = {{Py_tp_new, parser_new},
                                     {Py_tp_dealloc, parser_dealloc},
                                     {Py_tp_methods, parser_methods},
                                     {Py_tp_doc, "Parses inside the stream that the header has opened."},
                                     {0}};

static PyType_Spec parser_spec = {
    "amoc.xmpp.core._shared.Parser", sizeof(Parser), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, parser_slots};

/* -- the module ---------------------------------------------------------------------------------------- */

/* The offset of a slot of Element, which is all that is known of its memory; -1 with an exception set. */
static Py_ssize_t offset(const char *name) {
    PyObject *member = PyObject_GetAttrString(element_type, name);
    Py_ssize_t found = -1;
    if (member && Py_IS_TYPE(member, &PyMemberDescr_Type)) found = ((PyMemberDescrObject *)member)->d_member->offset;
    else if (member) PyErr_Format(PyExc_TypeError, "%s is no slot", name);
    Py_XDECREF(member);
    return found;
}

static PyObject *prepare(PyObject *module, PyObject *args) {
    PyObject *type;
    int depth;
    Py_ssize_t names;
    if (!PyArg_ParseTuple(args, "O!in", &PyType_Type, &type, &depth, &names)) return NULL;
    Py_INCREF(type);
    Py_XSETREF(element_type, type);
    if ((at_name = offset("name")) < 0 || (at_ns = offset("ns")) < 0 || (at_attrs = offset("attrs")) < 0 ||
        (at_children = offset("children")) < 0)
        return NULL;
    max_depth = depth;
    max_names = names;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"prepare", prepare, METH_VARARGS, "prepare(Element, max_depth, max_names): to be called first."}, {0}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_shared", "The shared parser, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__shared(void) {
    expat = PyCapsule_Import("pyexpat.expat_CAPI", 0);
    if (!expat) return NULL;
    if (strcmp(expat->magic, MAGIC) || expat->size < (int)sizeof *expat) {
        PyErr_Format(PyExc_ImportError, "this Python's expat is %s: another than was expected", expat->magic);
        return NULL;
    }
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    PyObject *parser = PyType_FromSpec(&parser_spec);
    if (!parser || PyModule_AddObject(module, "Parser", parser)) {
        Py_XDECREF(parser);
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
