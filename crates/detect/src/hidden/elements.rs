//! What the elements and attributes of HTML do to the text in them, as far as definitions are concerned.

use super::markup::{Tag, attribute};
use super::prose::prose;

/// Whether HTML has an element of that name.
pub(super) fn known(name: &str) -> bool {
    listed(ELEMENTS, name)
}

/// Elements that show nothing of what they hold, or not at once, or only where something else fails.
pub(super) const SHOWING_NOTHING: [&str; 20] = [
    "applet", "audio", "canvas", "datalist", "details", "dialog", "iframe", "meter", "noembed", "noframes", "noscript",
    "object", "progress", "rp", "script", "style", "svg", "template", "title", "video",
];

/// Whether no reader shows what an element holds, whatever follows, happens or fails. Style sheets are left out: of those
/// in an example of a page, each rule would be a sentence.
pub(super) fn never_shown(name: &str) -> bool {
    listed(&["datalist", "noembed", "noframes", "noscript", "script", "template"], name)
}

/// Elements in which no other begins.
pub(super) fn raw(name: &str) -> bool {
    listed(&["iframe", "noembed", "noframes", "noscript", "script", "style", "title"], name)
}

/// Whether an element has no content by its name.
pub(super) fn empty(name: &str) -> bool {
    const EMPTY: [&str; 14] =
        ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];
    listed(&EMPTY, name)
}

/// Whether an attribute says nothing by its name.
pub(super) fn usual(attribute: &str) -> bool {
    let prefixed = ["aria-", "data-", "on"]
        .iter()
        .any(|prefix| attribute.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
    prefixed && prose(attribute) < 2 || listed(ATTRIBUTES, attribute)
}

/// Whether attributes may keep the content of an element out of sight.
pub(super) fn may_hide(tag: &Tag<'_>) -> bool {
    let mut attributes = tag.attributes;
    while let Some((name, value, rest)) = attribute(attributes) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("popover")
            || is("hidden")
            || is("style") && !harmless(value)
            || tag.name.eq_ignore_ascii_case("font") && (is("color") || is("size"))
            || (is("width") || is("height")) && matches!(value.trim_end_matches("px"), "0" | "1")
        {
            return true;
        }
        attributes = rest;
    }
    false
}

/// Whether a style sets nothing but what leaves text where and as visible as it is.
fn harmless(style: &str) -> bool {
    const PROPERTIES: &[&str] = &[
        "border",
        "border-bottom",
        "border-collapse",
        "border-left",
        "border-radius",
        "border-right",
        "border-top",
        "font-family",
        "font-style",
        "font-weight",
        "list-style",
        "list-style-type",
        "padding",
        "page-break-after",
        "page-break-before",
        "page-break-inside",
        "text-align",
        "text-decoration",
        "vertical-align",
    ];
    // Seen on white and on black.
    const COLORS: &[&str] = &["blue", "gray", "green", "grey", "orange", "red"];
    const DECLARATIONS: &[(&str, &str)] = &[
        ("display", "block"),
        ("display", "inline"),
        ("display", "inline-block"),
        ("font", "inherit"),
        ("white-space", "normal"),
    ];
    let measured = |value: &str| {
        let mut numbers = value.split(|c: char| !c.is_ascii_digit());
        numbers.all(|number| number.len() <= 3)
            && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | ',' | '-' | '#' | '%' | '.'))
    };
    style.split(';').all(|declaration| match declaration.split_once(':') {
        Some((property, value)) if property.trim().eq_ignore_ascii_case("color") => listed(COLORS, value.trim()),
        Some((property, value)) if DECLARATIONS.iter().any(|known| *known == (property.trim(), value.trim())) => true,
        Some((property, value)) => listed(PROPERTIES, property.trim()) && measured(value),
        None => declaration.trim().is_empty(),
    })
}

fn listed(names: &[&str], name: &str) -> bool {
    names.iter().any(|listed| name.eq_ignore_ascii_case(listed))
}

const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "applet",
    "area",
    "article",
    "aside",
    "audio",
    "b",
    "base",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "body",
    "br",
    "button",
    "canvas",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "data",
    "datalist",
    "dd",
    "del",
    "details",
    "dfn",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "embed",
    "fieldset",
    "figcaption",
    "figure",
    "font",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "i",
    "iframe",
    "img",
    "input",
    "ins",
    "kbd",
    "label",
    "legend",
    "li",
    "link",
    "main",
    "map",
    "mark",
    "marquee",
    "math",
    "menu",
    "meta",
    "meter",
    "nav",
    "nobr",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "ol",
    "optgroup",
    "option",
    "output",
    "p",
    "param",
    "picture",
    "plaintext",
    "pre",
    "progress",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "script",
    "search",
    "section",
    "select",
    "slot",
    "small",
    "source",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "summary",
    "sup",
    "svg",
    "table",
    "tbody",
    "td",
    "template",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "time",
    "title",
    "tr",
    "track",
    "tt",
    "u",
    "ul",
    "var",
    "video",
    "wbr",
    "xmp",
];

const ATTRIBUTES: &[&str] = &[
    "action",
    "align",
    "allow",
    "allowfullscreen",
    "alt",
    "async",
    "autocomplete",
    "autofocus",
    "autoplay",
    "bgcolor",
    "border",
    "cellpadding",
    "cellspacing",
    "charset",
    "checked",
    "cite",
    "class",
    "classname",
    "color",
    "cols",
    "colspan",
    "content",
    "contenteditable",
    "controls",
    "coords",
    "crossorigin",
    "d",
    "datetime",
    "decoding",
    "default",
    "defer",
    "dir",
    "disabled",
    "download",
    "draggable",
    "enctype",
    "fill",
    "for",
    "formaction",
    "frameborder",
    "headers",
    "height",
    "hidden",
    "href",
    "hreflang",
    "http-equiv",
    "id",
    "inert",
    "inputmode",
    "integrity",
    "is",
    "ismap",
    "itemprop",
    "itemscope",
    "itemtype",
    "key",
    "kind",
    "label",
    "lang",
    "language",
    "list",
    "loading",
    "loop",
    "max",
    "maxlength",
    "media",
    "method",
    "min",
    "minlength",
    "multiple",
    "muted",
    "name",
    "nomodule",
    "nonce",
    "novalidate",
    "open",
    "pattern",
    "ping",
    "placeholder",
    "playsinline",
    "poster",
    "preload",
    "property",
    "readonly",
    "referrerpolicy",
    "rel",
    "required",
    "reversed",
    "role",
    "rows",
    "rowspan",
    "sandbox",
    "scope",
    "selected",
    "shape",
    "size",
    "sizes",
    "slot",
    "span",
    "spellcheck",
    "src",
    "srcdoc",
    "srclang",
    "srcset",
    "start",
    "step",
    "stroke",
    "style",
    "summary",
    "tabindex",
    "target",
    "title",
    "translate",
    "type",
    "usemap",
    "valign",
    "value",
    "version",
    "viewbox",
    "width",
    "wrap",
    "xmlns",
];
