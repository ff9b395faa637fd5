//! Reading, scaling and writing, with limits on what a file may ask for.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

/// A few bytes can ask for gigabytes of pixels; this is 64 megapixels of RGB.
const MOST_BYTES: u64 = 192 << 20;
const LONGEST_SIDE: u32 = 16_384;

/// Looks at the header only.
pub fn open(file: &[u8]) -> Result<(impl ImageDecoder, ImageFormat), String> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(text)?;
    let format = match reader.format() {
        Some(format @ (ImageFormat::Jpeg | ImageFormat::Png)) => format,
        _ => return Err("neither a JPEG nor a PNG picture".to_string()),
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(text)?;
    if decoder.total_bytes() > MOST_BYTES {
        return Err(format!("the picture would take {} MiB", decoder.total_bytes() >> 20));
    }
    Ok((decoder, format))
}

/// Decodes a picture and turns it upright.
pub fn read(file: &[u8]) -> Result<(DynamicImage, ImageFormat), String> {
    let (mut decoder, format) = open(file)?;
    // A damaged note about the camera is no reason to refuse its picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(text)?;
    picture.apply_orientation(orientation);
    Ok((picture, format))
}

/// Scales down to a width, the shape kept; never up.
pub fn narrow(picture: DynamicImage, width: u32) -> DynamicImage {
    if picture.width() <= width {
        return picture;
    }
    let exact = f64::from(picture.height()) * f64::from(width) / f64::from(picture.width());
    picture.thumbnail_exact(width, (exact.round() as u32).max(1))
}

/// Encodes a picture; `quality` matters for JPEG only, which has no transparency either.
pub fn write(picture: &DynamicImage, format: ImageFormat, quality: u8) -> Result<Vec<u8>, String> {
    let mut file = Vec::new();
    match format {
        ImageFormat::Png => picture.write_with_encoder(PngEncoder::new(&mut file)),
        _ if picture.color().has_color() => {
            let encoder = JpegEncoder::new_with_quality(&mut file, quality);
            DynamicImage::ImageRgb8(picture.to_rgb8()).write_with_encoder(encoder)
        }
        _ => {
            let encoder = JpegEncoder::new_with_quality(&mut file, quality);
            DynamicImage::ImageLuma8(picture.to_luma8()).write_with_encoder(encoder)
        }
    }
    .map_err(text)?;
    Ok(file)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
